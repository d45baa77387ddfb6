import type { ConnectionOptions } from 'bullmq';
import pg from 'pg';
import type { QueueOptions } from './queue.options.js';
import { SCHEMA } from './queues.js';

const CONNECT_TIMEOUT_MS = 5_000;
const STATEMENT_TIMEOUT_MS = 10_000;
/** More than the ten seconds for which a worker's connection may lawfully be silent while it waits for jobs. */
const REDIS_SILENCE_MS = 15_000;

/**
 * A connection that breaks tells its query and whoever listens; nobody at all would be the end of the process. BullMQ listens to
 * its pool alone, which lets go of those that are lent out.
 */
class ListenedClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
  }
}

/** What each queue and each worker connects with. */
export function connectionOf({ databaseUrl, redisUrl, poolSize = 4 }: QueueOptions): ConnectionOptions {
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
    Client: ListenedClient,
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
