import type { ConnectionOptions } from 'bullmq';
import type { JobsOptions } from './jobs.options.js';
import { SCHEMA } from './queues.js';

const CONNECT_TIMEOUT_MS = 5_000;
const STATEMENT_TIMEOUT_MS = 10_000;
/** More than the ten seconds for which a worker's connection may lawfully be silent while it waits for jobs. */
const REDIS_SILENCE_MS = 15_000;

/** What each queue and each worker connects with. */
export function connectionOf({ databaseUrl, redisUrl, poolSize = 4 }: JobsOptions): ConnectionOptions {
  if (redisUrl !== undefined) {
    return {
      url: redisUrl,
      maxRetriesPerRequest: null,
      connectTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: REDIS_SILENCE_MS,
    };
  }
  // BullMQ's type knows Redis alone.
  const connection: object = {
    connectionString: databaseUrl,
    schema: SCHEMA,
    max: poolSize,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    // Also against a peer that is silent, whose connection would be held for ever.
    query_timeout: STATEMENT_TIMEOUT_MS + 5_000,
    keepAlive: true,
  };
  return connection;
}
