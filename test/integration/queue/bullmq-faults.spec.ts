import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { BullModule } from '@nestjs/bullmq';
import { Test } from '@nestjs/testing';
import {
  type BackendFactory,
  createPostgresBackend,
  createRedisBackend,
  type PostgresConnectionOptions,
  type PostgresQueueBackend,
  Queue,
  Worker,
} from 'bullmq';
import pg from 'pg';
import { QueueConfig } from '#libs/queue';
import { redisBackend } from '../../../libs/queue/src/bullmq-patches/redis-backend.js';
import { connectionOf } from '../../../libs/queue/src/connection.js';
import { SCHEMA } from '../../../libs/queue/src/queues.js';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';
import { hasNoRedis, TestRedis } from '../../support/redis.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { until } from '../../../libs/testing/src/until.js';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const HOUR_MS = 3_600_000;

/** Fails if the installed BullMQ no longer has the fault that a patch works around. */
function expectFault(isPresent: boolean, mended: string, patch: string): void {
  if (!isPresent)
    throw new Error(`${mended}: remove the patch \`${patch}\` from libs/queue/src/bullmq-patches`);
}

const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );

/** From now on, timers fire only when the test advances them. Connections work as before. */
const stopTimers = () =>
  jest.useFakeTimers({
    doNotFake: [
      'Date',
      'hrtime',
      'nextTick',
      'performance',
      'queueMicrotask',
      'setImmediate',
      'clearImmediate',
    ],
  });

/** Whether a promise is pending after all timers of an hour have fired. */
async function isPendingAfterAnHour(promise: Promise<unknown>): Promise<boolean> {
  let isPending = true;
  void errorOf(promise).then(() => (isPending = false));
  await jest.advanceTimersByTimeAsync(HOUR_MS);
  return isPending;
}

afterEach(() => void jest.useRealTimers());

/** Real: @nestjs/bullmq. Fake: the queue, which only counts the arguments of its constructor. */
it('needs queueBackend: @nestjs/bullmq creates a queue without a backend', async () => {
  let count = 0;
  class CountingQueue {
    constructor(...args: unknown[]) {
      count = args.length;
    }
    close() {
      return Promise.resolve();
    }
  }
  BullModule.queueClass = CountingQueue;
  try {
    const imports = [BullModule.registerQueue({ name: 'q', connection: {} })];
    const module = await Test.createTestingModule({ imports }).compile();
    await module.close();
  } finally {
    BullModule.queueClass = Queue;
  }
  expectFault(
    count === 2,
    '@nestjs/bullmq no longer creates queues from a name and options only',
    'queueBackend',
  );
});

/** Real: BullMQ's own backend, PostgreSQL, and the network between them, through a proxy. */
describe('the PostgreSQL backend of BullMQ', () => {
  let database: TestDatabase;
  let proxy: TcpProxy;
  beforeEach(async () => {
    database = await createTestDatabase();
    proxy = await TcpProxy.start(new URL(database.url).host);
  });
  afterEach(async () => {
    await proxy[Symbol.asyncDispose]();
    await database.drop();
  });

  const connection = () =>
    connectionOf({ url: proxy.urlOf(database.url) }, new QueueConfig()) as PostgresConnectionOptions;
  function startBackend() {
    // A worker's backend has a connection of its own for notifications.
    const backend = createPostgresBackend(
      'q',
      { connection: connection() },
      { withBlockingConnection: true },
    );
    backend.on('error', () => undefined);
    return backend;
  }

  it('needs ListenedClient: ends the process when a connection is lost during a query', async () => {
    const query = proxy.hold({ after: ['min_client_version'], what: 'answer' });
    const program = `
      const backend = require('bullmq').createPostgresBackend('q', { connection: JSON.parse(process.argv[1]) });
      backend.on('error', () => undefined);
      backend.waitUntilReady().catch(() => undefined);`;
    const child = spawn(
      process.execPath,
      ['-e', program, JSON.stringify({ ...(connection() as object), Client: undefined })],
      {
        cwd: ROOT,
        env: { ...process.env, NODE_OPTIONS: '' },
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    const stderr = text(child.stderr);
    const closed = once(child, 'close');
    await Promise.race([query.held, closed]);
    await proxy.refuse();
    const [code] = (await closed) as [number | null];
    expect(await stderr).toMatch(/^$|Unhandled 'error' event/);
    expectFault(code !== 0, 'BullMQ no longer ignores errors of checked-out clients', 'ListenedClient');
  });

  it('needs dropCachedFailure: keeps the failure of the first connection', async () => {
    await proxy.refuse();
    const backend = startBackend();
    const failure = await errorOf(backend.waitUntilReady());
    await proxy.pass();
    const other = startBackend();
    await other.waitUntilReady();
    const later = [
      await errorOf(backend.connection.waitUntilReady()),
      await errorOf(backend.waitUntilReady()),
    ];
    await Promise.all([backend.close(), other.close()]);
    expect(failure).not.toBeNull();
    expectFault(later.includes(failure), 'BullMQ no longer caches a failed connection', 'dropCachedFailure');
  });

  it('needs delayFailure: asks for jobs again at once after a failed query', async () => {
    const admin = new pg.Client(database.url);
    await admin.connect();
    let attempts = 0;
    let isAtOnce = false;
    let pause: NodeJS.Timeout | undefined;
    const factory: BackendFactory<PostgresQueueBackend, PostgresConnectionOptions> = (...args) => {
      const backend = createPostgresBackend(...args);
      const moveToActive = backend.moveToActive.bind(backend);
      backend.moveToActive = (...given) => {
        attempts += 1;
        // Timers fire in order: while this one is pending, BullMQ cannot have waited for a longer one.
        isAtOnce ||= pause !== undefined;
        clearTimeout(pause);
        pause = setTimeout(() => (pause = undefined), 50);
        return moveToActive(...given);
      };
      return backend;
    };
    const options = { connection: connection(), autorun: false, skipStalledCheck: true };
    const worker = new Worker('q', () => Promise.resolve(), options, factory);
    worker.on('error', () => undefined);
    await worker.waitUntilReady();
    await admin.query(`alter schema ${SCHEMA} rename to missing`);
    await admin.end();
    const running = worker.run();
    await until('BullMQ asks again', () => (isAtOnce || attempts === 100 ? true : null));
    await worker.close();
    await running;
    clearTimeout(pause);
    expectFault(isAtOnce, 'BullMQ no longer asks for jobs again at once', 'delayFailure');
  });

  it('needs close within a grace: waits for a silent server without a limit', async () => {
    const backend = startBackend();
    await backend.waitUntilReady();
    proxy.blackHole();
    stopTimers();
    const closing = backend.close();
    const isPending = await isPendingAfterAnHour(closing);
    jest.useRealTimers();
    await proxy.pass();
    await closing;
    expectFault(isPending, 'BullMQ no longer waits for a silent PostgreSQL', 'close within a grace');
  });
});

/** Real: BullMQ's own backend, Redis, and the network between them, through a proxy. */
(hasNoRedis ? describe.skip : describe)('the Redis backend of BullMQ', () => {
  let redis: TestRedis;
  let proxy: TcpProxy;
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis[Symbol.asyncDispose]());
  beforeEach(async () => {
    proxy = await TcpProxy.start(new URL(redis.url).host);
  });
  afterEach(() => proxy[Symbol.asyncDispose]());

  async function startBackend(factory = createRedisBackend) {
    const connection = { url: proxy.urlOf(redis.url), maxRetriesPerRequest: null };
    const backend = factory('q', { connection }, { withBlockingConnection: true });
    backend.on('error', () => undefined);
    await backend.waitUntilReady();
    return { backend, client: (await backend.blockingClient)! };
  }

  it('needs retryStrategy: never ends a connection between two attempts to connect', async () => {
    const { backend, client } = await startBackend();
    stopTimers();
    const reconnecting = new Promise<void>((resolve) => client.once('reconnecting', () => resolve()));
    await proxy.refuse();
    await reconnecting;
    // A worker that closes calls this method first.
    const isPending = await isPendingAfterAnHour(backend.disconnectBlocking());
    jest.useRealTimers();
    (await backend.client).disconnect();
    expectFault(isPending, 'BullMQ no longer waits for a connection that it gave up', 'retryStrategy');
  });

  it('needs reconnectBlocking: connects a closing worker again after a blocking wait', async () => {
    const { backend } = await startBackend();
    const reconnect = jest.spyOn(backend, 'reconnectBlocking');
    proxy.blackHole();
    stopTimers();
    const waiting = backend.waitForJob(0.5);
    await jest.advanceTimersByTimeAsync(0);
    const disconnecting = backend.disconnectBlocking();
    await jest.advanceTimersByTimeAsync(HOUR_MS);
    jest.useRealTimers();
    await disconnecting;
    await proxy.pass();
    await waiting;
    await backend.close(true);
    const wasCalled = reconnect.mock.calls.length > 0;
    expectFault(wasCalled, 'BullMQ no longer connects a closing worker again', 'reconnectBlocking');
  });

  it('stays disconnected with reconnectBlocking', async () => {
    const { backend, client } = await startBackend(redisBackend);
    await backend.disconnectBlocking();
    await backend.reconnectBlocking();
    expect(client.status).toBe('end');
    await backend.close();
  });
});
