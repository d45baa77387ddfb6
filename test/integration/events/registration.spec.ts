import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { DomainEventsRepository } from '#libs/events';
import { PRUNE } from '../../../libs/events/src/domain-events.repository.js';
import { EventConsumersRepository } from '../../../libs/events/src/event-consumers.repository.js';
import { until } from '../../../libs/testing/src/until.js';
import { EventWorkers } from './event-workers.js';

const DAY_MS = 24 * 3_600_000;

/** Real: PostgreSQL. Each Nest module stands for a process; the modules share only the database. */
describe('the registration of event consumers', () => {
  let world: EventWorkers;
  beforeEach(async () => {
    world = await EventWorkers.start();
  });
  afterEach(() => world[Symbol.asyncDispose]());

  const names = async () =>
    (await world.rows<{ name: string }>('select name from event_consumers order by 1')).map(
      ({ name }) => name,
    );
  const ids = (events: readonly { id: bigint }[]) => events.map(({ id }) => id);
  const handled = async (name: string) => ids(await world.handled(name));

  it('starts a new consumer from now or from the beginning of the retained log, with its types only', async () => {
    const asset = randomUUID();
    const before = [
      ...(await world.write('asset.ready', [asset])),
      ...(await world.write('asset.ready', [asset])),
    ];
    await world.write('asset.purged', [randomUUID()]);
    await world.startWorker(world.recorder('test.now'), world.recorder('test.all', { from: 'beginning' }));
    const after = await world.write('asset.ready', [asset]);
    await world.write('asset.purged', [asset]);
    await world.allHandled('test.all');
    await world.allHandled('test.now');
    expect(await handled('test.now')).toEqual(after);
    expect(await handled('test.all')).toEqual([...before, ...after]);
  });

  it('backfills a log of several batches before it delivers, once among several workers', async () => {
    const assets = Array.from({ length: 40 }, () => randomUUID());
    for (let round = 0; round < 3; round++)
      await world.write(
        'asset.ready',
        Array.from({ length: 4_000 }, (_, index) => assets[index % 40]!),
      );
    const worker = await world.startWorker();
    const consumers = worker.get(EventConsumersRepository, { strict: false });
    await consumers.register({ name: 'test.all', types: ['asset.ready'], from: 'beginning', concurrency: 1 });
    await world.write('asset.ready', assets);
    const backfills = Array.from({ length: 4 }, async () => {
      while (await consumers.backfill('test.all'));
    });
    await Promise.all(backfills);
    expect(ids(await world.deliveries('test.all'))).toEqual(
      ids(await world.rows('select id from domain_events order by id')),
    );
  });

  it('starts workers at once: one registers, all run', async () => {
    await Promise.all(Array.from({ length: 5 }, () => world.startWorker(world.recorder('test.log'))));
    const written = await world.write('asset.ready', [randomUUID()]);
    await world.allHandled('test.log');
    expect(await handled('test.log')).toEqual(written);
  });

  it('fails the start of a consumer with other types than it is registered for', async () => {
    await world.startWorker(world.recorder('test.log'));
    await world.startWorker(world.recorder('test.two', {}, ['asset.purged', 'asset.ready']));
    await expect(world.startWorker(world.recorder('test.log', {}, ['asset.purged']))).rejects.toThrow(
      'The event consumer test.log is registered for asset.ready and now declares asset.purged: give it another name.',
    );
    await world.startWorker(world.recorder('test.two', {}, ['asset.ready', 'asset.purged']));
  });

  it('misses and doubles no event of transactions that run while a consumer registers', async () => {
    const stop = new AbortController();
    const assets = Array.from({ length: 8 }, () => randomUUID());
    let held = 0;
    // Each writer is the only one of its asset, as the lock of the asset's row ensures in the service.
    const writers = assets.map(async (asset, index) => {
      const client = new pg.Client({ connectionString: world.testDatabase.url });
      await client.connect();
      try {
        while (!stop.signal.aborted) {
          await client.query('begin');
          for (let count = 0; count < 3; count++) {
            await client.query(
              `insert into domain_events (type, asset_id, owner_id) values ('asset.ready', $1, $2)`,
              [asset, index],
            );
            // Long transactions, so that some are open at any time.
            if (index % 2 === 0) await client.query('select pg_sleep(0.05)');
          }
          await client.query(index === 7 ? 'rollback' : 'commit');
          held++;
        }
      } finally {
        await client.end();
      }
    });
    await until('all writers write', () => held > 20 || null);
    // Two processes register at once, one consumer from each end.
    await Promise.all([
      world.startWorker(world.recorder('test.all', { from: 'beginning' })),
      world.startWorker(world.recorder('test.now')),
    ]);
    const [registered] = await world.rows<{ last: bigint }>('select max(id) as last from domain_events');
    await until('events follow the registration', () => held > 60 || null);
    stop.abort();
    await Promise.all(writers);
    await world.allHandled('test.all');
    await world.allHandled('test.now');
    const [all, now] = [await world.handled('test.all'), await world.handled('test.now')];
    for (const asset of assets) {
      const rows = await world.rows<{ id: bigint }>(
        'select id from domain_events where asset_id = $1 order by id',
        asset,
      );
      const written = ids(rows);
      const ofAsset = (events: typeof all) => ids(events.filter(({ assetId }) => assetId === asset));
      expect(ofAsset(all)).toEqual(written);
      // The consumer has an uninterrupted end of the log, which begins before the start of the worker was over.
      const since = ofAsset(now);
      expect(since).toEqual(since.length === 0 ? [] : written.slice(-since.length));
      expect(since.length).toBeGreaterThanOrEqual(written.filter((id) => id > registered!.last).length);
    }
  });

  it('does not register before a transaction with an event has ended, nor fail the writers meanwhile', async () => {
    const client = new pg.Client({ connectionString: world.testDatabase.url });
    await client.connect();
    await client.query(
      `begin; insert into domain_events (type, asset_id, owner_id) values ('asset.ready', gen_random_uuid(), 1)`,
    );
    const starting = world.startWorker(world.recorder('test.all', { from: 'beginning' }));
    await until('the registration waits for the writer', async () => {
      const [waiting] = await world.rows(
        `select 1 from pg_locks where relation = 'domain_events'::regclass and not granted`,
      );
      return waiting === undefined ? null : true;
    });
    // A writer with the lock timeout of the service.
    const { id } = await world.database.transaction((tx) =>
      tx.domainEvent.create({ data: { type: 'asset.ready', assetId: randomUUID(), ownerId: 2n } }),
    );
    expect(await names()).toEqual([]);
    await client.query('commit');
    await client.end();
    await starting;
    await world.allHandled('test.all');
    expect(await handled('test.all')).toHaveLength(2);
    expect(await handled('test.all')).toContain(id);
  });

  it('removes a consumer that no worker has run for the retention period, and its deliveries', async () => {
    const worker = await world.startWorker(world.recorder('test.kept'));
    await world.rows(
      `insert into event_consumers (name, types, seen_at) values
         ('test.gone', '{asset.ready}', now() - interval '31 days'), ('test.away', '{asset.ready}', now() - interval '29 days')`,
    );
    await world.write(
      'asset.ready',
      Array.from({ length: 20 }, () => randomUUID()),
    );
    await world.retention(worker, new Date());
    expect(await names()).toEqual(['test.away', 'test.kept']);
    expect(await world.deliveries('test.gone')).toEqual([]);
    expect(await world.deliveries('test.away')).toHaveLength(20);
    // A worker that runs the consumer again registers it at its next refresh.
    await world.rows(`delete from event_consumers where name = 'test.kept'`);
    await world.startWorker(world.recorder('test.kept'));
    expect(await names()).toEqual(['test.away', 'test.kept']);
  });

  it('records at most every five minutes that a consumer is in use', async () => {
    await world.startWorker(world.recorder('test.log'));
    const seen = () => world.rows<{ at: Date }>('select seen_at as at from event_consumers');
    const ago = (interval: string) =>
      world.rows(`update event_consumers set seen_at = now() - $1::interval`, interval);
    await ago('4 minutes');
    const before = await seen();
    await world.startWorker(world.recorder('test.log'));
    expect(await seen()).toEqual(before);
    await ago('6 minutes');
    await world.startWorker(world.recorder('test.log'));
    const [now] = await seen();
    expect(now!.at.getTime()).toBeGreaterThan(before[0]!.at.getTime());
  });

  it('prunes old announced events, and keeps their deliveries', async () => {
    const worker = await world.startWorker();
    const repository = worker.get(DomainEventsRepository);
    await world.rows(`insert into event_consumers (name, types) values ('test.away', '{asset.ready}')`);
    await world.rows(
      `insert into domain_events (type, asset_id, owner_id, delivered_at, created_at)
       select 'asset.ready', gen_random_uuid(), 42, now(), now() - age from unnest($1::interval[]) age`,
      ['31 days', '31 days', '29 days'],
    );
    expect(await repository.prune(new Date(Date.now() - 30 * DAY_MS), 1)).toBe(1);
    expect(await world.retention(worker, new Date())).toBe(1);
    expect(await world.rows('select 1 from domain_events')).toHaveLength(1);
    expect(await world.deliveries('test.away')).toHaveLength(3);
    // The transaction keeps relays from announcing the event.
    await world.database.transaction(async (tx) => {
      await tx.domainEvent.updateMany({ data: { deliveredAt: null, createdAt: new Date(0) } });
      expect(await tx.$queryRawUnsafe(PRUNE.text, new Date(), 10)).toEqual([{ pruned: 0 }]);
    });
  });
});
