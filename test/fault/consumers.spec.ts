import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { createTestDatabase, type TestDatabase } from '../../libs/testing/src/test-database.js';
import { until } from '../../libs/testing/src/until.js';
import { Fleet, Member } from '../support/fleet.js';
import { type HoldOptions, TcpProxy } from '../support/tcp-proxy.js';
import { settled, upload } from './uploads.js';

const PROGRAM = path.join(import.meta.dirname, 'consumer-process.ts');
const CONSUMERS = ['test.log', 'test.all'];

const HANDLED =
  'create table handled (place bigserial primary key, consumer text, event_id bigint, asset_id uuid)';

async function startConsumers(databaseUrl: string): Promise<Member> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', PROGRAM], {
    env: { PATH: process.env.PATH, DATABASE_URL: databaseUrl },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const member = new Member('consumers', child, 0);
  await member.ready();
  return member;
}

/** A connection past any proxy. */
async function connect(url: string) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return {
    rows: async <Row>(sql: string, ...values: unknown[]) => (await client.query(sql, values)).rows as Row[],
    end: () => client.end(),
  };
}
type Connection = Awaited<ReturnType<typeof connect>>;

const handledBy = (database: Connection, consumer: string) =>
  database.rows<{ id: string; asset: string }>(
    'select event_id as id, asset_id as asset from handled where consumer = $1 order by place',
    consumer,
  );

/** Waits until the consumers have handled all events. */
const allHandled = (database: Connection) =>
  until('all events are handled', async () => {
    const waiting = await database.rows(`select 1 from event_deliveries
      union all select 1 from event_consumers where backfill_before is not null`);
    return waiting.length === 0 || null;
  });

const prisma = 'DELETE FROM "public"."event_deliveries"';
const insert = 'insert into handled';
const claim = 'events_claim_deliveries';
/** The steps of a delivery, and whether the handler's effect is committed when the worker is held there. */
const STEPS: readonly [string, HoldOptions, boolean][] = [
  ['before the claim', { what: 'request', after: [claim] }, false],
  ['after the claim', { what: 'answer', after: [claim] }, false],
  ['before the delivery is removed', { what: 'request', after: [prisma] }, false],
  ['after the delivery is removed', { what: 'answer', after: [prisma] }, false],
  ['inside the handler', { what: 'request', after: [insert] }, false],
  ['after the write of the handler', { what: 'answer', after: [insert] }, false],
  ['before the commit', { what: 'request', after: [insert, 'COMMIT'] }, false],
  ['after the commit', { what: 'answer', after: [insert, 'COMMIT'] }, true],
  ['before the next event is released', { what: 'request', after: ['events_release_next'] }, true],
];

describe('a worker with event consumers, killed with SIGKILL (real: workers as processes, PostgreSQL)', () => {
  let testDatabase: TestDatabase;
  let database: Connection;
  let proxy: TcpProxy;
  const members: Member[] = [];
  beforeEach(async () => {
    testDatabase = await createTestDatabase();
    database = await connect(testDatabase.url);
    proxy = await TcpProxy.start(new URL(testDatabase.url).host);
    await database.rows(HANDLED);
  });
  afterEach(async () => {
    await Promise.all(members.splice(0).map((member) => member.end('SIGKILL')));
    await proxy[Symbol.asyncDispose]();
    await database.end();
    await testDatabase.drop();
  });

  const start = async (url: string) => {
    const member = await startConsumers(url);
    members.push(member);
    return member;
  };

  it.each(STEPS)('handles every event once and in order after a kill %s', async (_, hold, isCommitted) => {
    const first = await start(testDatabase.url);
    expect(await first.end()).toBe(0);
    const assets = [randomUUID(), randomUUID()];
    for (let round = 0; round < 3; round++) {
      await database.rows(
        `insert into domain_events (type, asset_id, owner_id) select 'asset.restored', unnest($1::uuid[]), 42`,
        assets,
      );
    }
    const held = proxy.hold(hold);
    const killed = await start(proxy.urlOf(testDatabase.url));
    await until('the worker is held', () => held.isHolding || null);
    const [committed] = await database.rows<{ any: boolean }>('select exists (select from handled) as any');
    if (isCommitted) expect(committed!.any).toBe(true);
    expect(await killed.end('SIGKILL')).toBeNull();
    proxy.forget();
    await database.rows(
      'create table killed as select consumer, event_id, attempts from event_deliveries where attempts > 0',
    );
    await start(testDatabase.url);
    await until('all events are handled', async () => {
      // Ends pauses and the leases of the killed worker, but not those of the running one, which would lose the attempts.
      await database.rows(`update event_deliveries d set next_at = now() from (
          select consumer, event_id from event_deliveries
          where next_at > now() and (attempts = 0 or (consumer, event_id, attempts) in (select * from killed))
          for update skip locked) w
        where d.consumer = w.consumer and d.event_id = w.event_id`);
      const waiting = await database.rows('select 1 from event_deliveries');
      return waiting.length === 0 || null;
    });
    for (const consumer of CONSUMERS) {
      const handled = await handledBy(database, consumer);
      for (const asset of assets) {
        const written = await database.rows(
          'select id from domain_events where asset_id = $1 order by id',
          asset,
        );
        expect(handled.filter((event) => event.asset === asset).map(({ id }) => ({ id }))).toEqual(written);
      }
    }
    expect(await database.rows('select 1 from dead_letters')).toEqual([]);
  });
});

// Real: api and worker of a release without the consumers, a worker with them, PostgreSQL, queue tables, emulators.
it('misses no event of replicas without the consumers while a worker registers them', async () => {
  await using fleet = await Fleet.start();
  const database = await connect(fleet.database.url);
  let consumers: Member | undefined;
  try {
    await database.rows(HANDLED);
    const uploads: Promise<string>[] = [];
    const ready = async (count: number) => {
      const wanted = uploads.length + count;
      for (let index = uploads.length; index < wanted; index++) uploads.push(upload(fleet, `file ${index}`));
      await Promise.all(uploads);
    };
    await ready(5);
    const starting = startConsumers(fleet.database.url);
    let isStarted = false;
    void starting.catch(() => undefined).finally(() => (isStarted = true));
    while (!isStarted) await ready(3);
    consumers = await starting;
    const before = uploads.length;
    await ready(10);
    const ids = await Promise.all(uploads);
    await settled(fleet, ids);
    await allHandled(database);
    const [all, log] = [await handledBy(database, 'test.all'), await handledBy(database, 'test.log')];
    expect(all.map(({ asset }) => asset).sort()).toEqual([...ids].sort());
    expect(log.map(({ asset }) => asset)).toEqual(expect.arrayContaining(ids.slice(before)));
    expect(new Set(log.map(({ id }) => id)).size).toBe(log.length);
  } finally {
    await consumers?.end('SIGKILL');
    await database.end();
  }
});
