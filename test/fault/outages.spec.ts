import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { put } from '../e2e/stack.js';
import { FaultDoor } from '../support/fault-door.js';
import { Fleet, type FleetOptions } from '../support/fleet.js';
import { startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { hasNoRedis, TestRedis } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { expectConsistent, expectReady, requestUpload, upload } from './uploads.js';
import { until } from '../support/until.js';

/** For the whole minute, in which locks run out, `npm run fault` has OUTAGE_SECONDS=60. */
const SECONDS = Number(process.env.OUTAGE_SECONDS ?? 8);

/** What is taken away; each function ends what it began. */
interface Outage extends AsyncDisposable {
  readonly options?: FleetOptions;
  /** Returns how to end it. */
  begin(fleet: Fleet): Promise<() => Promise<void>>;
}

/** What a client that does not give up met on its way. */
class Client {
  readonly refusals: string[] = [];

  constructor(private readonly fleet: Fleet) {}

  async send(bytes: string): Promise<string> {
    const request = () => requestUpload(this.fleet, bytes, { idempotencyKey: bytes });
    const { id, ticket } = await this.untilDone(request);
    await this.untilDone(async () => {
      const status = await put(ticket, bytes);
      // A repeat of a PUT whose answer got lost meets its own work.
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
    const door = new FaultDoor(fleet.emulators.gcs.url);
    await door.add({ action: { status: 503 } });
    return () => door.clear();
  },
  [Symbol.asyncDispose]: nothing,
});
const withoutPubSub = (): Outage => ({
  begin: (fleet) => fleet.emulators.stopPubSub(),
  [Symbol.asyncDispose]: nothing,
});

/** How it is called and taken away, what clients meet meanwhile, and what the api says of itself. */
type Case = readonly [
  name: string,
  prepare: () => Outage | Promise<Outage>,
  refusal: string | null,
  health: number,
];

/** Work waits and goes on, with no attempt used up and nothing given up. */
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
  // A probe that is late is one that fails, for a moment.
  await until(`the api says ${health}`, async () =>
    (await api.fetch('/health/ready')).status === health ? true : null,
  );
  await end();
  const ids = [...before, ...(await Promise.all(during))];
  if (refusal === null) expect(client.refusals).toEqual([]);
  else expect(client.refusals).toContainEqual(expect.stringContaining(refusal));
  await expectReady(fleet, ids);
  await expectConsistent(fleet);
  const isReady = async () => ((await api.fetch('/health/ready')).status === 200 ? true : null);
  await until('the api says that it is ready', isReady);
  const worker = fleet.workers[0]!;
  const ends = [await api.end(), await worker.end()];
  // What they say at their end.
  if (ends.some((code) => code !== 0)) process.stdout.write(`${name}: ${fleet.logs.slice(-3000)}\n`);
  expect(ends).toEqual([0, 0]);
}

describe(`a dependency that is gone for ${SECONDS} s (real: an api and a worker as processes, PostgreSQL, emulators)`, () => {
  it.concurrent.each<Case>([
    ['PostgreSQL, killed and started again', crashingPostgres, 'UNAVAILABLE', 503],
    ['PostgreSQL, refusing connections', () => withProxy((proxy) => proxy.refuse()), 'UNAVAILABLE', 503],
    ['PostgreSQL, silent', () => withProxy((proxy) => proxy.blackHole()), 'UNAVAILABLE', 503],
    ['storage, answering 503', storageUnavailable, 'PUT 503', 503],
    ['Pub/Sub', withoutPubSub, null, 200],
  ])('%s: work waits and goes on, with no attempt used up and nothing given up', survives);

  // Uploads go on without it: what came waits in Pub/Sub, or for the sweepers. Not with the others: so many processes are slow.
  (hasNoRedis ? it.skip : it).each<Case>([
    ['Redis, killed and started again', crashingRedis, null, 503],
    ['Redis, silent', silentRedis, null, 503],
  ])('%s: work waits and goes on, with no attempt used up and nothing given up', survives);
});
