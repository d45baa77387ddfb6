/** Real: PostgreSQL; Redis, in a process of its own; the network between, by way of a proxy. */
import { describe, expect, it } from '@jest/globals';
import { Queue } from 'bullmq';
import { queueContract, type QueueSetup } from '#libs/jobs/testing';
import { connectionOf } from '../../../libs/jobs/src/connection.js';
import { queueBackend } from '../../../libs/jobs/src/queue-backend.js';
import { createTestDatabase } from '../../support/postgres.js';
import { hasNoRedis, TestRedis } from '../../support/redis.js';
import { TcpProxy } from '../../support/tcp-proxy.js';

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

queueContract('PostgreSQL', async () => {
  const database = await createTestDatabase();
  const proxy = await TcpProxy.start(new URL(database.url).host);
  return {
    options: { databaseUrl: proxy.urlOf(database.url) },
    databaseUrl: database.url,
    outages: by(proxy),
    // A question to a server that is silent is given up after 15 s.
    closeMs: 19_000,
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
      options: { databaseUrl: database.url, redisUrl: proxy.urlOf(redis.url) },
      databaseUrl: database.url,
      outages: by(proxy),
      // A process that stops has this time.
      closeMs: 9_000,
      close: async () => {
        await proxy[Symbol.asyncDispose]();
        await redis[Symbol.asyncDispose]();
        await database.drop();
      },
    };
  });
});

it('a connection that is cut while a queue starts is an error of the queue, and not the end of the process', async () => {
  const database = await createTestDatabase();
  const proxy = await TcpProxy.start(new URL(database.url).host);
  try {
    // The first that it asks.
    const question = proxy.hold({ after: ['min_client_version'], what: 'answer' });
    const options = { databaseUrl: proxy.urlOf(database.url) };
    const queue = new Queue('q', { connection: connectionOf(options) }, queueBackend);
    queue.on('error', () => undefined);
    const ready = queue.waitUntilReady().catch((error: unknown) => error);
    await question.held;
    await proxy.refuse();
    expect(await ready).toBeInstanceOf(Error);
    await queue.close();
  } finally {
    await proxy[Symbol.asyncDispose]();
    await database.drop();
  }
});
