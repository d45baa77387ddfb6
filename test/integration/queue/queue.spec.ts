/** Real: PostgreSQL, Redis in a separate process, and the network between them, through a proxy. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type ConnectionOptions, type Job, Queue, Worker } from 'bullmq';
import { DatabaseConfig } from '#libs/database';
import { QueueConfig } from '#libs/queue';
import { queueContract, type QueueSetup } from '#libs/queue/testing';
import { configured } from '#libs/runtime';
import { connectionOf } from '../../../libs/queue/src/connection.js';
import { queueBackend } from '../../../libs/queue/src/bullmq-patches/index.js';
import { workerOptions } from '../../../libs/queue/src/worker-options.js';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';
import { hasNoRedis, TestRedis } from '../../support/redis.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { until } from '../../../libs/testing/src/until.js';

const by = (proxy: TcpProxy): QueueSetup['outages'] => ({
  refusing: async () => {
    await proxy.refuse();
    return () => proxy.pass();
  },
  silent: () => {
    proxy.blackHole();
    return Promise.resolve(() => proxy.pass());
  },
});

const connectionTo = (url: string) => connectionOf({ url }, new QueueConfig());

queueContract('PostgreSQL', async () => {
  const database = await createTestDatabase();
  const proxy = await TcpProxy.start(new URL(database.url).host);
  return {
    database: configured(DatabaseConfig, { url: proxy.urlOf(database.url) }),
    queue: new QueueConfig(),
    databaseUrl: database.url,
    outages: by(proxy),
    close: async () => {
      await proxy[Symbol.asyncDispose]();
      await database.drop();
    },
  };
});

(hasNoRedis ? describe.skip : describe)('Redis', () => {
  queueContract('Redis', async () => {
    const [database, redis] = await Promise.all([createTestDatabase(), TestRedis.start()]);
    const proxy = await TcpProxy.start(new URL(redis.url).host);
    return {
      database: configured(DatabaseConfig, { url: database.url }),
      queue: configured(QueueConfig, { redisUrl: proxy.urlOf(redis.url) }),
      databaseUrl: database.url,
      outages: by(proxy),
      close: async () => {
        await proxy[Symbol.asyncDispose]();
        await redis[Symbol.asyncDispose]();
        await database.drop();
      },
    };
  });
});

describe('PostgreSQL that disconnects during the first query', () => {
  let database: TestDatabase;
  let proxy: TcpProxy;
  const connection = () => connectionTo(proxy.urlOf(database.url));
  const running: Promise<void>[] = [];
  beforeEach(async () => {
    database = await createTestDatabase();
    proxy = await TcpProxy.start(new URL(database.url).host);
  });
  afterEach(async () => {
    await Promise.all(running.splice(0));
    await proxy[Symbol.asyncDispose]();
    await database.drop();
  });

  const firstQuery = () => proxy.hold({ after: ['min_client_version'], what: 'answer' }).held;
  const queueOn = (by: ConnectionOptions) => {
    const queue = new Queue('q', { connection: by }, queueBackend);
    queue.on('error', () => undefined);
    return queue;
  };
  function workerOn(by: ConnectionOptions) {
    const seen = { jobs: [] as unknown[], errors: 0 };
    const work = (job: Job) => {
      seen.jobs.push(job.data);
      return Promise.resolve();
    };
    const options = { ...workerOptions({ concurrency: 4, lockSeconds: 15 }), connection: by };
    const worker = new Worker('q', work, options, queueBackend);
    worker.on('error', () => (seen.errors += 1));
    running.push(worker.run());
    return { worker, seen };
  }

  it('accepts jobs after reconnecting', async () => {
    const asked = firstQuery();
    const queue = queueOn(connection());
    const ready = queue.waitUntilReady().catch((error: unknown) => error);
    await asked;
    await proxy.refuse();
    expect(await ready).toBeInstanceOf(Error);
    await expect(queue.add('a', {})).rejects.toThrow();
    await proxy.pass();
    await queue.waitUntilReady();
    await queue.add('a', {});
    await queue.close();
  });

  it('pauses between polls while disconnected and delivers jobs after reconnecting', async () => {
    const asked = firstQuery();
    const { worker, seen } = workerOn(connection());
    await asked;
    await proxy.refuse();
    await until('the worker reports an error', () => (seen.errors > 0 ? true : null));
    // A loop without a pause would fail thousands of times.
    await delay(2_500);
    expect(seen.errors).toBeLessThan(20);
    await proxy.pass();
    const queue = queueOn(connectionTo(database.url));
    await queue.add('a', { n: 1 });
    await until('the job is done', () => (seen.jobs.length > 0 ? true : null));
    expect(seen.jobs).toEqual([{ n: 1 }]);
    await Promise.all([queue.close(), worker.close()]);
  });

  it.each([
    ['before the first query', false],
    ['after its jobs are done', true],
  ])('pauses between polls while a proxy closes every connection, %s', async (_, isLater) => {
    const { port, hostname: host } = new URL(database.url);
    let hangsUp = !isLater;
    const sockets = new Set<Socket>();
    const server = createServer((client) => {
      const upstream = connect({ host, port: Number(port) });
      for (const socket of [client, upstream]) socket.on('error', () => undefined).on('close', () => cut());
      const cut = () => [client, upstream].forEach((socket) => socket.destroy());
      sockets.add(client);
      if (hangsUp) cut();
      else client.pipe(upstream).pipe(client);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = new URL(database.url);
    url.port = String((server.address() as AddressInfo).port);
    const queue = queueOn(connectionTo(database.url));
    const { worker, seen } = workerOn(connectionTo(String(url)));
    if (isLater) {
      await queue.add('a', { n: 1 });
      await until('the job is done', () => (seen.jobs.length > 0 ? true : null));
      await until('the job is no longer active', async () =>
        (await queue.getActiveCount()) === 0 ? true : null,
      );
      hangsUp = true;
      for (const socket of sockets) socket.destroy();
    }
    await until('the worker reports an error', () => (seen.errors > 0 ? true : null));
    // A loop without a pause would fail thousands of times.
    await delay(2_500);
    expect(seen.errors).toBeLessThan(15);
    hangsUp = false;
    await queue.add('a', { n: 2 });
    await until('the next job is done', () => (seen.jobs.length > (isLater ? 1 : 0) ? true : null));
    await Promise.all([queue.close(), worker.close()]);
    server.close();
  });
});

it('reports a connection that is cut while a queue starts as a queue error without ending the process', async () => {
  const database = await createTestDatabase();
  const proxy = await TcpProxy.start(new URL(database.url).host);
  try {
    // The queue's first query.
    const firstQuery = proxy.hold({ after: ['min_client_version'], what: 'answer' });
    const connection = connectionTo(proxy.urlOf(database.url));
    const queue = new Queue('q', { connection }, queueBackend);
    queue.on('error', () => undefined);
    const ready = queue.waitUntilReady().catch((error: unknown) => error);
    await firstQuery.held;
    await proxy.refuse();
    expect(await ready).toBeInstanceOf(Error);
    await queue.close();
  } finally {
    await proxy[Symbol.asyncDispose]();
    await database.drop();
  }
});
