import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { put } from '../e2e/stack.js';
import { FaultRules } from '../support/fault-rules.js';
import { Fleet, type FleetOptions } from '../support/fleet.js';
import { startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { hasNoRedis, TestRedis } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { expectConsistent, expectReady, requestUpload, upload } from './uploads.js';
import { until } from '../../libs/testing/src/until.js';

/** Duration of an outage. `npm run fault` sets 60 seconds, in which job locks expire. */
const SECONDS = Number(process.env.OUTAGE_SECONDS ?? 8);

/** An outage of one dependency. Disposing it stops the servers that it started. */
interface Outage extends AsyncDisposable {
  readonly options?: FleetOptions;
  /** Starts the outage and returns the function that ends it. */
  begin(fleet: Fleet): Promise<() => Promise<void>>;
}

/** A client that retries until each request succeeds, and records the failures. */
class Client {
  readonly refusals: string[] = [];

  constructor(private readonly fleet: Fleet) {}

  async send(bytes: string): Promise<string> {
    const request = () => requestUpload(this.fleet, bytes, { idempotencyKey: bytes });
    const { id, ticket } = await this.untilDone(request);
    await this.untilDone(async () => {
      const status = await put(ticket, bytes);
      // A repeated PUT whose first answer was lost gets 412, because the object exists.
      if (status !== 200 && status !== 412) throw new Error(`PUT ${status}`);
    });
    return id;
  }

  private async untilDone<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        this.refusals.push(String(error));
        await delay(250);
      }
    }
  }
}

function withProxy(begin: (proxy: TcpProxy) => Promise<void> | void): Outage {
  let proxy: TcpProxy | undefined;
  return {
    options: {
      databaseUrl: async (url) => {
        proxy = await TcpProxy.start(new URL(url).host);
        return proxy.urlOf(url);
      },
    },
    begin: async () => {
      await begin(proxy!);
      return () => proxy!.pass();
    },
    [Symbol.asyncDispose]: async () => proxy?.[Symbol.asyncDispose](),
  };
}

async function crashingPostgres(): Promise<Outage> {
  const postgres: TestPostgres = await startTestPostgres({ durable: true });
  return {
    options: { postgres },
    begin: () => postgres.crash(),
    [Symbol.asyncDispose]: () => postgres.stop(),
  };
}

async function crashingRedis(): Promise<Outage> {
  const redis = await TestRedis.start();
  return {
    options: { env: { REDIS_URL: redis.url } },
    begin: () => redis.crash(),
    [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose](),
  };
}

async function silentRedis(): Promise<Outage> {
  const redis = await TestRedis.start();
  const proxy = await TcpProxy.start(new URL(redis.url).host);
  return {
    options: { env: { REDIS_URL: proxy.urlOf(redis.url) } },
    begin: () => {
      proxy.blackHole();
      return Promise.resolve(() => proxy.pass());
    },
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      await redis[Symbol.asyncDispose]();
    },
  };
}

const nothing = () => Promise.resolve();
const storageUnavailable = (): Outage => ({
  begin: async (fleet) => {
    const faults = new FaultRules(fleet.emulators.gcs.url);
    await faults.add({ action: { status: 503 } });
    return () => faults.clear();
  },
  [Symbol.asyncDispose]: nothing,
});
const withoutPubSub = (): Outage => ({
  begin: (fleet) => fleet.emulators.stopPubSub(),
  [Symbol.asyncDispose]: nothing,
});

/** Name, outage, error that clients must meet (null: none), and readiness status of the api during the outage. */
type Case = readonly [
  name: string,
  prepare: () => Outage | Promise<Outage>,
  refusal: string | null,
  health: number,
];

/** Expects work to wait during the outage and to continue after it, with no attempt used up and no dead letter. */
async function survives(
  name: string,
  prepare: Case[1],
  refusal: string | null,
  health: number,
): Promise<void> {
  await using outage = await prepare();
  await using fleet = await Fleet.start(outage.options);
  const api = fleet.apis[0]!;
  const before = await Promise.all(
    Array.from({ length: 4 }, (_, index) => upload(fleet, `${name}: before ${index}`)),
  );
  const end = await outage.begin(fleet);
  const client = new Client(fleet);
  const during = Array.from({ length: 4 }, (_, index) => client.send(`${name}: during ${index}`));
  await delay(SECONDS * 1000);
  expect((await api.fetch('/health/live')).status).toBe(200);
  // A slow health check counts as failed for a moment.
  await until(`readiness answers ${health}`, async () =>
    (await api.fetch('/health/ready')).status === health ? true : null,
  );
  await end();
  const ids = [...before, ...(await Promise.all(during))];
  if (refusal === null) expect(client.refusals).toEqual([]);
  else expect(client.refusals).toContainEqual(expect.stringContaining(refusal));
  await expectReady(fleet, ids);
  await expectConsistent(fleet);
  const isReady = async () => ((await api.fetch('/health/ready')).status === 200 ? true : null);
  await until('the api is ready', isReady);
  const worker = fleet.workers[0]!;
  const ends = [await api.end(), await worker.end()];
  // The last log lines tell why a process did not stop cleanly.
  if (ends.some((code) => code !== 0)) process.stdout.write(`${name}: ${fleet.logs.slice(-3000)}\n`);
  expect(ends).toEqual([0, 0]);
}

describe(`an outage of ${SECONDS} s (real: an api and a worker as processes, PostgreSQL, emulators)`, () => {
  it.concurrent.each<Case>([
    ['PostgreSQL, killed and restarted', crashingPostgres, 'UNAVAILABLE', 503],
    ['PostgreSQL, refusing connections', () => withProxy((proxy) => proxy.refuse()), 'UNAVAILABLE', 503],
    ['PostgreSQL, silent', () => withProxy((proxy) => proxy.blackHole()), 'UNAVAILABLE', 503],
    ['storage, answering 503', storageUnavailable, 'PUT 503', 503],
    ['Pub/Sub', withoutPubSub, null, 200],
  ])('delays work, uses up no attempt and makes no dead letter: %s', survives);

  // Uploads continue without Redis: their events wait in Pub/Sub, or a task finds the objects. These cases do not run
  // beside the others, because that many processes would be slow.
  (hasNoRedis ? it.skip : it).each<Case>([
    ['Redis, killed and restarted', crashingRedis, null, 503],
    ['Redis, silent', silentRedis, null, 503],
  ])('delays work, uses up no attempt and makes no dead letter: %s', survives);
});
