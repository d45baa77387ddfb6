import { IsOptional, Matches } from 'class-validator';
import { Variable, Whole } from '#libs/runtime';

/** The store counts weight in int4, and each process may add a share beyond the limit. */
const MAX_PER_MINUTE = 1_000_000_000;

/** Limit of the requests of an owner, over all processes of the API. */
export class RateLimitConfig {
  /** Request weight per owner and minute; 0 for no limit. */
  @Variable('RATE_LIMIT_PER_MINUTE')
  @Whole(0, MAX_PER_MINUTE)
  readonly perMinute: number = 6000;

  /** Counts the weight in this Redis instead of that of the queue, or PostgreSQL without one. */
  @Variable('CACHE_REDIS_URL')
  @IsOptional()
  @Matches(/^rediss?:\/\//, { message: '$property must be a redis:// URL' })
  readonly redisUrl?: string;

  /** Maximum number of owners whose shares a process keeps. */
  readonly maxShares: number = 10_000;

  /** Time limit for an answer of the store, in milliseconds. */
  readonly timeoutMs: number = 1_000;
}
