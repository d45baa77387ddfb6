import type { ConnectionOptions } from 'bullmq';
import type { DatabaseConfig } from '#libs/database';
import { ListenedClient } from './bullmq-patches/index.js';
import type { QueueConfig } from './queue.config.js';
import { SCHEMA } from './queues.js';

const CONNECT_TIMEOUT_MS = 5_000;
const STATEMENT_TIMEOUT_MS = 10_000;
/** Longer than the ten seconds for which a worker's connection may be silent while it waits for jobs. */
const REDIS_SILENCE_MS = 15_000;

/** Builds the BullMQ connection options of each queue and each worker. */
export function connectionOf(
  { url }: Pick<DatabaseConfig, 'url'>,
  { redisUrl, poolSize }: QueueConfig,
): ConnectionOptions {
  if (redisUrl !== undefined) {
    return {
      url: redisUrl,
      maxRetriesPerRequest: null,
      connectTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: REDIS_SILENCE_MS,
    };
  }
  // BullMQ's type covers Redis options only.
  const connection: object = {
    Client: ListenedClient,
    connectionString: url,
    schema: SCHEMA,
    max: poolSize,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    // Also limits the wait for a silent server, which cannot enforce its own statement timeout.
    query_timeout: STATEMENT_TIMEOUT_MS + 5_000,
    keepAlive: true,
  };
  return connection;
}
