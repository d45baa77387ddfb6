import { type BackendFactory, createRedisBackend, type IRedisClient, type RedisQueueBackend } from 'bullmq';
import { MAX_RETRY_MS } from '../worker-options.js';
import { CLOSE_GRACE_MS, withinGrace } from './within-grace.js';

/**
 * BullMQ's Redis backend, changed so that it can be closed while Redis is down. BullMQ waits for its pending commands,
 * ioredis queues them until it is connected again, and `disconnect` between two connection attempts cancels the next
 * attempt, and with it the only event that would end the wait (https://github.com/taskforcesh/bullmq/issues/4585). Here
 * the retry strategy gives up a connection that is lost while the backend closes, which is the only way that notifies
 * everything that waits for the connection. A worker can therefore be closed while Redis is down, but not paused.
 */
export const redisBackend: BackendFactory<RedisQueueBackend> = (name, opts, kind = {}) => {
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
