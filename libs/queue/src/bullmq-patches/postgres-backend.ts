import { setTimeout as delay } from 'node:timers/promises';
import { type BackendFactory, createPostgresBackend, type PostgresQueueBackend } from 'bullmq';
import pg from 'pg';
import { MAX_RETRY_MS } from '../worker-options.js';
import { withinGrace } from './within-grace.js';

/**
 * A PostgreSQL client with a listener for connection errors. An error event without a listener would end the process,
 * and BullMQ listens to its pool only, which does not report the errors of checked-out clients.
 */
export class ListenedClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
  }
}

/**
 * BullMQ's PostgreSQL backend with three changes. A failed first connection is attempted again. A worker whose query
 * for jobs fails waits before the next query. Closing does not wait for a silent server, since pg has no time limit for
 * ending a connection.
 */
export const postgresBackend: BackendFactory<PostgresQueueBackend> = (name, opts, kind) => {
  const backend = createPostgresBackend(name, opts as Parameters<typeof createPostgresBackend>[1], kind);
  dropCachedFailure(backend.connection);
  dropCachedFailure(backend);
  const close = backend.close.bind(backend);
  const disconnectBlocking = backend.disconnectBlocking.bind(backend);
  const reconnectBlocking = backend.reconnectBlocking.bind(backend);
  const moveToActive = backend.moveToActive.bind(backend);
  const waitForJob = backend.waitForJob.bind(backend);
  let stopping = new AbortController();
  /** Delays a failure, so that BullMQ does not retry in a tight loop. */
  const delayFailure = async <T>(query: Promise<T>): Promise<T> => {
    try {
      return await query;
    } catch (error) {
      await delay(MAX_RETRY_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
      throw error;
    }
  };
  backend.moveToActive = (token, worker): ReturnType<typeof moveToActive> =>
    delayFailure(moveToActive(token, worker));
  backend.waitForJob = (blockTimeout) => delayFailure(waitForJob(blockTimeout));
  // A worker that closes or pauses calls this method first.
  backend.disconnectBlocking = (wait) => {
    stopping.abort();
    return disconnectBlocking(wait);
  };
  backend.reconnectBlocking = () => {
    if (stopping.signal.aborted) stopping = new AbortController();
    return reconnectBlocking();
  };
  backend.close = async (force) => {
    stopping.abort();
    await withinGrace(close(force));
  };
  return backend;
};

/**
 * BullMQ caches the outcome of the first connection for all later calls, even a failure. This wrapper drops cached
 * failures.
 */
function dropCachedFailure(server: { waitUntilReady(): Promise<void> }): void {
  const waitUntilReady = server.waitUntilReady.bind(server);
  server.waitUntilReady = async () => {
    const connecting = waitUntilReady();
    const cached: unknown = Reflect.get(server, 'readyPromise');
    try {
      await connecting;
    } catch (error) {
      if (Reflect.get(server, 'readyPromise') === cached) Reflect.set(server, 'readyPromise', undefined);
      throw error;
    }
  };
}
