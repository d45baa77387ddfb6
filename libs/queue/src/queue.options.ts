export interface QueueOptions {
  /** PostgreSQL URL of the queues, unless `redisUrl` is set. */
  readonly databaseUrl: string;
  /** Stores the queues in this Redis instead of PostgreSQL. */
  readonly redisUrl?: string;
  /** Maximum number of connections of each queue and each worker; default 4. */
  readonly poolSize?: number;
}

/** Injection token of {@link QueueOptions}. */
export const QUEUE_OPTIONS = Symbol('QUEUE_OPTIONS');
