import { IsOptional, Matches } from 'class-validator';
import { Variable, Whole } from '#libs/runtime';

export class QueueConfig {
  /** Stores the queues in this Redis instead of PostgreSQL. */
  @Variable('REDIS_URL')
  @IsOptional()
  @Matches(/^rediss?:\/\//, { message: '$property must be a redis:// URL' })
  readonly redisUrl?: string;

  /** Days for which dead letters are kept that were retried or discarded. Open ones are kept. */
  @Variable('DEAD_LETTER_DAYS')
  @Whole(1, 3650)
  readonly deadLetterDays: number = 90;

  /** Maximum number of connections of each queue and each worker. An app may change it before the start. */
  poolSize = 4;
}
