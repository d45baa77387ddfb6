import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { Registry } from 'prom-client';
import { Database, DatabaseConfig } from '#libs/database';
import { QueueConfig } from '#libs/queue';
import { configured } from '#libs/runtime';
import { LeaseStore } from '../../../libs/stowage/src/api/callers/lease-store.js';
import { RateLimitConfig } from '../../../libs/stowage/src/api/callers/rate-limit.config.js';
import { RateLimiter } from '../../../libs/stowage/src/api/callers/rate-limiter.js';
import { TestApi } from '../../../libs/testing/src/test-api.js';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';
import { LIMIT_MS, until } from '../../../libs/testing/src/until.js';
import { QUEUE_BACKENDS, type QueueBackend, TestRedis } from '../../support/redis.js';

const LIMIT = 2000;

/** The limiter of one process, and the number of its leases by source. */
class Process implements AsyncDisposable {
  static async start(databaseUrl: string, redisUrl?: string, timeoutMs = LIMIT_MS): Promise<Process> {
    const config = configured(RateLimitConfig, { perMinute: LIMIT, timeoutMs });
    const database = new Database(configured(DatabaseConfig, { url: databaseUrl, poolSize: 4 }));
    const store = new LeaseStore(config, configured(QueueConfig, { redisUrl }), database);
    await store.onModuleInit();
    return new Process(config, store, database);
  }

  private readonly registry = new Registry();
  readonly limiter: RateLimiter;

  private constructor(
    config: RateLimitConfig,
    readonly store: LeaseStore,
    private readonly database: Database,
  ) {
    this.limiter = new RateLimiter(config, store, this.registry);
  }

  async leases(source: 'store' | 'local'): Promise<number> {
    const metric = await this.registry.getSingleMetric('stowage_rate_limit_leases_total')!.get();
    return metric.values.find(({ labels }) => labels.source === source)?.value ?? 0;
  }

  /** The seconds to wait, or 0 if the request was allowed. */
  async ask(owner: bigint, weight = 1): Promise<number> {
    return Promise.resolve(this.limiter.take(owner, weight)).then(
      () => 0,
      ({ retryAfterSeconds }: { retryAfterSeconds: number }) => retryAfterSeconds,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.store.onApplicationShutdown();
    await this.database.onApplicationShutdown();
  }
}

describe.each(QUEUE_BACKENDS)('rate limits of several processes (real: %s)', (name, startBackend) => {
  let testDatabase: TestDatabase;
  let backend: QueueBackend;
  const processes: Process[] = [];
  beforeAll(async () => {
    testDatabase = await createTestDatabase();
    backend = await startBackend();
    for (let index = 0; index < 3; index++)
      processes.push(await Process.start(testDatabase.url, backend.url));
  });
  afterAll(async () => {
    for (const process of processes) await process[Symbol.asyncDispose]();
    await backend?.[Symbol.asyncDispose]();
    await testDatabase?.drop();
  });

  it('allow the weight of a minute to all processes together, with few requests to the store', async () => {
    const started = Date.now();
    const waits = await Promise.all(
      processes.flatMap((process) => Array.from({ length: LIMIT / 2 }, () => process.ask(1n))),
    );
    const minutes = Math.ceil((Date.now() - started) / 60_000);
    const granted = waits.filter((seconds) => seconds === 0).length;
    expect(granted).toBeGreaterThanOrEqual(LIMIT);
    expect(granted).toBeLessThanOrEqual(LIMIT * minutes);
    for (const seconds of waits) expect(seconds).toBeLessThanOrEqual(60);
    const leases = await Promise.all(processes.map((process) => process.leases('store')));
    for (const count of leases) expect(count).toBeLessThan(30 * minutes);
    expect(await Promise.all(processes.map((process) => process.leases('local')))).toEqual([0, 0, 0]);
  });

  it('count each lease once, and grant the rest of a minute', async () => {
    const [one, other] = processes as [Process, Process];
    const lease = async ({ store }: Process, weight: number) => store.lease(2n, weight);
    expect(await lease(one, LIMIT - 10)).toMatchObject({ granted: LIMIT - 10 });
    const { granted, remainingMs } = await lease(other, 100);
    expect(remainingMs).toBeGreaterThan(0);
    expect(remainingMs).toBeLessThanOrEqual(60_000);
    expect(granted).toBe(10);
    expect(await lease(one, 100)).toMatchObject({ granted: 0 });
  });

  if (name === 'PostgreSQL') {
    it('remove the rows of minutes that have ended', async () => {
      const client = new pg.Client({ connectionString: testDatabase.url });
      await client.connect();
      try {
        const count = async () => {
          const { rows } = await client.query<{ count: number }>(
            "select count(*)::int as count from rate_limits where key like 'old%'",
          );
          return rows[0]!.count;
        };
        await client.query(
          `insert into rate_limits select 'old ' || id, 1, 1000 from generate_series(1, 500) id`,
        );
        await until('the rows are removed', async () => {
          for (let lease = 0; lease < 64; lease++) await processes[0]!.store.lease(BigInt(1000 + lease), 1);
          return (await count()) === 0 ? true : null;
        });
      } finally {
        await client.end();
      }
    });
  } else {
    it('apply to each process alone while the store is down, and to all again afterwards', async () => {
      const redis = backend as TestRedis;
      await using process = await Process.start(testDatabase.url, redis.url, 1_000);
      const restart = await redis.crash();
      expect(await process.ask(3n, LIMIT)).toBe(0);
      expect(await process.ask(3n)).toBeGreaterThan(0);
      expect(await process.leases('local')).toBeGreaterThan(0);
      await restart();
      let owner = 100n;
      await until('the store is asked again', async () => {
        expect(await process.ask(owner++)).toBe(0);
        return (await process.leases('store')) > 0 || null;
      });
    });

    it('let a process start while the store is down', async () => {
      await using process = await Process.start(testDatabase.url, 'redis://127.0.0.1:1', 1_000);
      expect(await process.ask(4n)).toBe(0);
      expect(await process.leases('local')).toBe(1);
    });
  }
});

describe('rate limits of requests (real: the api, PostgreSQL)', () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await TestApi.start({ RATE_LIMIT_PER_MINUTE: '100' });
  });
  afterAll(() => api[Symbol.asyncDispose]());

  it('charge pages by their cost and refuse with the seconds until the minute ends', async () => {
    const page = '{ assets(first: 100) { nodes { id filename status } } }';
    const { errors } = await until('a refusal', async () => {
      const answer = await api.query(page);
      return answer.errors === undefined ? null : answer;
    });
    expect(errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED', reason: 'RATE_LIMITED' } }]);
    const { retryAfterSeconds } = errors![0]!.extensions;
    expect(retryAfterSeconds).toBeGreaterThanOrEqual(1);
    expect(retryAfterSeconds).toBeLessThanOrEqual(60);
    expect((await api.query('{ viewer { id } }', {}, '43')).errors).toBeUndefined();
  });

  it('charge each root field of an operation', async () => {
    const fields = Array.from({ length: 30 }, (_, index) => `f${index}: viewer { id }`).join(' ');
    const answers = [];
    for (let again = 0; again < 4; again++) answers.push(await api.query(`{ ${fields} }`, {}, '44'));
    expect(answers.some(({ errors }) => errors?.[0]?.extensions.code === 'RATE_LIMITED')).toBe(true);
  });
});
