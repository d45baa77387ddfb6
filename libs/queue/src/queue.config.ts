import { IsOptional, Matches } from 'class-validator';
import { Variable } from '#libs/runtime';

export class QueueConfig {
  /** Stores the queues in this Redis instead of PostgreSQL. */
  @Variable('REDIS_URL')
  @IsOptional()
  @Matches(/^rediss?:\/\//, { message: '$property must be a redis:// URL' })
  readonly redisUrl?: string;

  /** Maximum number of connections of each queue and each worker. An app may change it before the start. */
  poolSize = 4;
}
