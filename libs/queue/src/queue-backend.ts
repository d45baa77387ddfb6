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
import { LONGEST_RETRY_MS } from './worker-options.js';

/** BullMQ's backend for what a connection leads to. For `setDefaultBackendFactory`: `@nestjs/bullmq` has no option for it. */
export const queueBackend: BackendFactory<IQueueBackend> = (name, opts, kind) =>
  'connectionString' in opts.connection ? postgresBackend(name, opts, kind) : redisBackend(name, opts, kind);

/** For a Redis that comes back, or answers again, while work is being finished. */
const CLOSE_GRACE_MS = 2_000;

/**
 * BullMQ's PostgreSQL backend, but one that did not find its server at first finds it later; a worker that cannot ask for jobs
 * asks again after a while, not at once; and closing waits for no server that is silent: pg has no limit for saying goodbye.
 */
const postgresBackend: BackendFactory<PostgresQueueBackend> = (name, opts, kind) => {
  const backend = createPostgresBackend(name, opts as Parameters<typeof createPostgresBackend>[1], kind);
  forgetFailures(backend.connection);
  forgetFailures(backend);
  const close = backend.close.bind(backend);
  const disconnectBlocking = backend.disconnectBlocking.bind(backend);
  const reconnectBlocking = backend.reconnectBlocking.bind(backend);
  const moveToActive = backend.moveToActive.bind(backend);
  const waitForJob = backend.waitForJob.bind(backend);
  let stopping = new AbortController();
  /** What fails, but not at once. */
  const slowly = async <T>(asking: Promise<T>): Promise<T> => {
    try {
      return await asking;
    } catch (error) {
      await delay(LONGEST_RETRY_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
      throw error;
    }
  };
  backend.moveToActive = (token, worker): ReturnType<typeof moveToActive> =>
    slowly(moveToActive(token, worker));
  backend.waitForJob = (blockTimeout) => slowly(waitForJob(blockTimeout));
  // The first that a worker does to be closed, or to pause.
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
    await inTime(close(force));
  };
  return backend;
};

/** BullMQ keeps the outcome of the first look at the server, also where that failed, as the answer to all that follow. */
function forgetFailures(server: { waitUntilReady(): Promise<void> }): void {
  const waitUntilReady = server.waitUntilReady.bind(server);
  server.waitUntilReady = async () => {
    const looking = waitUntilReady();
    const kept: unknown = Reflect.get(server, 'readyPromise');
    try {
      await looking;
    } catch (error) {
      if (Reflect.get(server, 'readyPromise') === kept) Reflect.set(server, 'readyPromise', undefined);
      throw error;
    }
  };
}

/**
 * BullMQ's Redis backend, but it can be closed when there is no Redis. BullMQ waits for what it has asked, ioredis keeps all
 * of that until it is connected again, and `disconnect` takes from a connection that is between two attempts the next attempt
 * and with it the only event that would tell anybody (https://github.com/taskforcesh/bullmq/issues/4585). Here a connection
 * that is lost while it is being closed is given up, by the one way on which everything that waits for it is told. A worker can be closed, then, but not paused.
 */
const redisBackend: BackendFactory<RedisQueueBackend> = (name, opts, kind = {}) => {
  let givesUpAt = Infinity;
  const isWorker = kind.withBlockingConnection === true;
  const connection = {
    ...opts.connection,
    // A worker waits for its Redis; whoever hands in work is told, and nothing piles up here.
    enableOfflineQueue: isWorker,
    retryStrategy: (times: number) =>
      Date.now() >= givesUpAt ? null : Math.min(50 * 2 ** times, LONGEST_RETRY_MS),
  };
  const backend = createRedisBackend(name, { ...opts, connection }, kind);
  const close = backend.close.bind(backend);
  const disconnectBlocking = backend.disconnectBlocking.bind(backend);
  const reconnectBlocking = backend.reconnectBlocking.bind(backend);
  const settle = async () => {
    await upOrEnded(backend.client, true);
    // By now it is known whether it is there: its status may be older than the end of its connection.
    await upOrEnded(backend.blockingClient, false);
  };

  backend.close = async (force) => {
    givesUpAt = Math.min(givesUpAt, Date.now());
    await settle();
    await close(force);
  };
  // The first that a worker does to be closed.
  backend.disconnectBlocking = async (wait) => {
    givesUpAt = Date.now() + CLOSE_GRACE_MS;
    await settle();
    await disconnectBlocking(wait);
  };
  // BullMQ does so by itself when a wait takes too long, also of a worker that is being closed.
  backend.reconnectBlocking = async () => {
    if (givesUpAt === Infinity) await reconnectBlocking();
  };
  return backend;
};

/**
 * Waits until a connection that will be given up is up, or has ended.
 * @param isAsked whether it has to answer; one that waits for jobs cannot
 */
async function upOrEnded(connecting: Promise<IRedisClient> | undefined, isAsked: boolean): Promise<void> {
  // It fails when it never was up.
  const client = await connecting?.catch(() => undefined);
  if (client === undefined) return;
  if (client.status === 'ready') {
    if (!isAsked || (await answers(client))) return;
    // Whether it is tried again is for the strategy to say.
    if (client.status === 'ready') client.disconnect(true);
  }
  if (client.status === 'end') return;
  await new Promise<void>((resolve) => client.once('ready', resolve).once('end', resolve));
}

const answers = async (client: IRedisClient): Promise<boolean> =>
  (await inTime(
    client.info().then(
      () => true,
      () => false,
    ),
  )) ?? false;

/** What comes within the grace, else undefined. */
async function inTime<T>(answer: Promise<T>): Promise<T | undefined> {
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
