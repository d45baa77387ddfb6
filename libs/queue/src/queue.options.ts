export interface QueueOptions {
  readonly databaseUrl: string;
  /** Redis instead of PostgreSQL. */
  readonly redisUrl?: string;
  /** Connections that each queue and each worker may hold; default 4. */
  readonly poolSize?: number;
}

export const QUEUE_OPTIONS = Symbol('QUEUE_OPTIONS');
