import { setTimeout as delay } from 'node:timers/promises';
import {
  type BackendFactory,
  createPostgresBackend,
  createRedisBackend,
  type IQueueBackend,
  type IRedisClient,
  type PostgresQueueBackend,
  type RedisQueueBackend,
} from 'bullmq';
import { MAX_RETRY_MS } from './worker-options.js';

/**
 * Creates the BullMQ backend for a connection. Registered by `setDefaultBackendFactory`: `@nestjs/bullmq` has no option
 * for it.
 */
export const queueBackend: BackendFactory<IQueueBackend> = (name, opts, kind) =>
  'connectionString' in opts.connection ? postgresBackend(name, opts, kind) : redisBackend(name, opts, kind);

/** Time for Redis to come back while workers finish their jobs during a shutdown. */
const CLOSE_GRACE_MS = 2_000;

/**
 * BullMQ's PostgreSQL backend with three changes. A failed first connection is attempted again. A worker whose query
 * for jobs fails waits before the next query. Closing does not wait for a silent server, since pg has no time limit for
 * ending a connection.
 */
const postgresBackend: BackendFactory<PostgresQueueBackend> = (name, opts, kind) => {
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

/**
 * BullMQ's Redis backend, changed so that it can be closed while Redis is down. BullMQ waits for its pending commands,
 * ioredis queues them until it is connected again, and `disconnect` between two connection attempts cancels the next
 * attempt, and with it the only event that would end the wait (https://github.com/taskforcesh/bullmq/issues/4585). Here
 * the retry strategy gives up a connection that is lost while the backend closes, which is the only way that notifies
 * everything that waits for the connection. A worker can therefore be closed while Redis is down, but not paused.
 */
const redisBackend: BackendFactory<RedisQueueBackend> = (name, opts, kind = {}) => {
  let givesUpAt = Infinity;
  const isWorker = kind.withBlockingConnection === true;
  const connection = {
    ...opts.connection,
    // A worker waits for Redis. A producer gets an error instead, so that jobs do not pile up in memory.
    enableOfflineQueue: isWorker,
    retryStrategy: (times: number) =>
      Date.now() >= givesUpAt ? null : Math.min(50 * 2 ** times, MAX_RETRY_MS),
  };
  const backend = createRedisBackend(name, { ...opts, connection }, kind);
  const close = backend.close.bind(backend);
  const disconnectBlocking = backend.disconnectBlocking.bind(backend);
  const reconnectBlocking = backend.reconnectBlocking.bind(backend);
  const awaitConnections = async () => {
    await readyOrEnded(backend.client, true);
    // The first wait leaves the blocking client time to notice a lost connection, since its status can lag behind.
    await readyOrEnded(backend.blockingClient, false);
  };

  backend.close = async (force) => {
    givesUpAt = Math.min(givesUpAt, Date.now());
    await awaitConnections();
    await close(force);
  };
  // A worker that closes calls this method first.
  backend.disconnectBlocking = async (wait) => {
    givesUpAt = Date.now() + CLOSE_GRACE_MS;
    await awaitConnections();
    await disconnectBlocking(wait);
  };
  // BullMQ calls this method when a blocking wait takes too long, even while the worker is being closed.
  backend.reconnectBlocking = async () => {
    if (givesUpAt === Infinity) await reconnectBlocking();
  };
  return backend;
};

/**
 * Waits until a connection that will be given up is ready or has ended.
 * @param mustAnswer whether to require an answer; a connection that waits for jobs cannot answer
 */
async function readyOrEnded(
  connecting: Promise<IRedisClient> | undefined,
  mustAnswer: boolean,
): Promise<void> {
  // The promise rejects if the connection was never established.
  const client = await connecting?.catch(() => undefined);
  if (client === undefined) return;
  if (client.status === 'ready') {
    if (!mustAnswer || (await answers(client))) return;
    // Reconnecting leaves the decision about another attempt to the retry strategy.
    if (client.status === 'ready') client.disconnect(true);
  }
  if (client.status === 'end') return;
  await new Promise<void>((resolve) => client.once('ready', resolve).once('end', resolve));
}

const answers = async (client: IRedisClient): Promise<boolean> =>
  (await withinGrace(
    client.info().then(
      () => true,
      () => false,
    ),
  )) ?? false;

/** The answer, or undefined if it takes longer than the grace period. */
async function withinGrace<T>(answer: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), CLOSE_GRACE_MS);
  });
  try {
    return await Promise.race([answer, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
