import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Registry } from 'prom-client';
import type { Tx } from '#libs/database';
import { BECAME_READY, unavailable } from '#libs/domain';
import { type AssetEventHandler, DomainEventsRepository } from '#libs/events';
import {
  type Delivery,
  EventDeliveriesRepository,
} from '../../../libs/events/src/event-deliveries.repository.js';
import { EventHandlingService } from '../../../libs/events/src/event-handling.service.js';
import type { EventConsumer } from '../../../libs/events/src/on-asset-event.js';
import { until } from '../../../libs/testing/src/until.js';
import { consumer, EventWorkers } from './event-workers.js';

const READY = ['asset.ready'] as const;

/** Real: PostgreSQL. Each Nest module stands for a process; the modules share only the database. */
describe('event consumers', () => {
  let world: EventWorkers;
  beforeEach(async () => {
    world = await EventWorkers.start();
  });
  afterEach(() => world[Symbol.asyncDispose]());

  const ids = (events: readonly { id: bigint }[]) => events.map(({ id }) => id);

  it('delivers each event once and in order per asset, while two workers share the work and handlers fail', async () => {
    const worker = (name: string) =>
      consumer('test.log', BECAME_READY, async (event, tx) => {
        await world.record(tx, 'test.log', event, name);
        await delay(Math.random() * 5);
        if (Math.random() < 0.1) throw new Error('sometimes');
      });
    await world.startWorker(worker('first'));
    await world.startWorker(worker('second'));
    const assets = Array.from({ length: 30 }, () => randomUUID());
    const written = new Map<string, bigint[]>(assets.map((id) => [id, []]));
    await Promise.all(
      assets.map(async (id) => {
        for (let count = 0; count < 10; count++) {
          written.get(id)!.push(...(await world.write('asset.restored', [id])));
          await world.write('asset.deleted', [id]);
        }
      }),
    );
    await until('all events are handled', async () => {
      await world.hurry();
      return (await world.deliveries('test.log')).length === 0 || null;
    });
    const log = await world.handled('test.log');
    for (const [id, events] of written)
      expect(ids(log.filter(({ assetId }) => assetId === id))).toEqual(events);
    expect(new Set(log.map(({ worker }) => worker))).toEqual(new Set(['first', 'second']));
  });

  it('is woken after each commit of its process that wrote events', async () => {
    const worker = await world.startWorker();
    const events = worker.get(DomainEventsRepository);
    const announced = jest.fn();
    events.onAnnouncement(announced);
    const append = (tx: Tx) =>
      events.append(tx, { type: 'asset.purged', assetId: randomUUID(), ownerId: 1n });
    const rolledBack = world.database.transaction(async (tx) => {
      await append(tx);
      throw new Error('no');
    });
    await expect(rolledBack).rejects.toThrow('no');
    expect(announced).not.toHaveBeenCalled();
    await world.database.transaction(append);
    expect(announced).toHaveBeenCalledTimes(1);
  });

  it('keeps a consumer that always throws from delaying others, until its event is a dead letter, which can be retried', async () => {
    let isBroken = true;
    const broken = consumer('test.broken', READY, (event, tx) => {
      if (isBroken) return Promise.reject(new Error('broken\0'));
      return world.record(tx, 'test.broken', event);
    });
    await world.startWorker(broken, world.recorder('test.log'));
    const asset = randomUUID();
    const [first] = await world.write('asset.ready', [asset]);
    const [second] = await world.write('asset.ready', [asset]);
    await world.allHandled('test.log');
    expect(ids(await world.handled('test.log'))).toEqual([first, second]);
    const letters = () => world.deadLetters.list(undefined, undefined, 10);
    await until('both events are dead letters', async () => {
      await world.hurry();
      return (await letters()).length === 2 || null;
    });
    const [late, letter] = await letters();
    expect(letter).toMatchObject({
      source: 'events:test.broken',
      assetId: asset,
      error: 'broken',
      attempts: 8,
      state: 'OPEN',
    });
    expect(JSON.parse(letter!.payload)).toEqual({
      id: String(first),
      type: 'asset.ready',
      assetId: asset,
      ownerId: '42',
    });
    expect(await world.deliveries('test.broken')).toEqual([]);

    // A retry that fails again leaves another letter.
    await world.deadLetters.retry(late!.id);
    await until('the event is a dead letter again', async () => {
      await world.hurry();
      return (await letters()).length === 3 || null;
    });
    isBroken = false;
    await Promise.all([world.deadLetters.retry(letter!.id), world.deadLetters.retry(letter!.id)]);
    await world.allHandled('test.broken');
    expect(ids(await world.handled('test.broken'))).toEqual([first]);
    expect((await letters()).map(({ state }) => state)).toEqual(['OPEN', 'RETRIED', 'RETRIED']);

    await world.rows(`delete from event_consumers where name = 'test.broken'`);
    const [open] = await letters();
    await expect(world.deadLetters.retry(open!.id)).rejects.toMatchObject({
      reason: 'EVENT_CONSUMER_REMOVED',
    });
    expect((await world.deadLetters.get(open!.id)).state).toBe('OPEN');
  });

  it('keeps an asset with a failing event and a backlog from delaying other assets of the consumer', async () => {
    const stuck = randomUUID();
    const failing = consumer('test.log', READY, (event, tx) =>
      event.assetId === stuck ? Promise.reject(new Error('stuck')) : world.record(tx, 'test.log', event),
    );
    await world.startWorker(failing);
    await world.write(
      'asset.ready',
      Array.from({ length: 450 }, () => stuck),
    );
    const other = await world.writeAsset('asset.ready');
    await until(
      'the other asset is handled',
      async () => (await world.handled('test.log'))[0]?.assetId === other || null,
    );
    const left = await world.deliveries('test.log');
    expect(left).toHaveLength(450);
    // Later events of the asset were not tried.
    expect(left.filter(({ attempts }) => attempts > 0)).toHaveLength(1);
  });

  it('uses up no attempt while a dependency of the handler is unavailable', async () => {
    let calls = 0;
    const waiting = consumer('test.log', READY, (event, tx) => {
      if (++calls > 10) return world.record(tx, 'test.log', event);
      return Promise.reject(unavailable('TEST_DOWN', 'down'));
    });
    await world.startWorker(waiting);
    await world.writeAsset('asset.ready');
    await until('the event is handled', async () => {
      await world.hurry();
      return (await world.handled('test.log'))[0] ?? null;
    });
    expect(calls).toBe(11);
    expect(await world.deadLetters.list(undefined, undefined, 1)).toEqual([]);
  });

  it('pauses longer after each failure, and after an outage in proportion to the age of the event', async () => {
    await world.rows(`create table pauses (consumer text, attempts int, seconds float8);
      create function note_pause() returns trigger language plpgsql as $$ begin
        if new.attempts <= old.attempts and new.next_at > now() then
          insert into pauses values (new.consumer, new.attempts, extract(epoch from new.next_at - now()));
        end if;
        return null;
      end $$;
      create trigger note_pause after update on event_deliveries for each row execute function note_pause();
      alter table event_deliveries alter created_at set default now() - interval '1 minute'`);
    const waiting = consumer('test.waiting', READY, () => Promise.reject(unavailable('TEST_DOWN', 'down')));
    const failing = consumer('test.failing', READY, () => Promise.reject(new Error('failing')));
    await world.startWorker(waiting, failing);
    await world.writeAsset('asset.ready');
    const pausesOf = (name: string) =>
      world.rows<{ attempts: number; seconds: number }>(
        'select attempts, seconds from pauses where consumer = $1',
        name,
      );
    await until('the failing event is a dead letter', async () => {
      await world.hurry();
      return (await world.deliveries('test.failing')).length === 0 || null;
    });
    const pauses = await pausesOf('test.failing');
    expect(pauses.map(({ attempts }) => attempts)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    for (const { attempts, seconds } of pauses) {
      expect(seconds / 2 ** (attempts - 1)).toBeGreaterThan(0.7);
      expect(seconds / 2 ** (attempts - 1)).toBeLessThan(1.3);
    }
    const [first] = await until('the other event waits', async () => {
      const all = await pausesOf('test.waiting');
      return all.length > 0 ? all : null;
    });
    expect(first!.seconds).toBeGreaterThan(20);
  });

  it('counts a handler that takes too long as failed, and rolls back what it wrote', async () => {
    let late: Promise<unknown> | undefined;
    const slow = consumer('test.slow', READY, async (event, tx) => {
      if (late !== undefined) return world.record(tx, 'test.slow', event);
      await world.record(tx, 'test.slow', event);
      let resume!: () => void;
      const ended = new Promise<void>((resolve) => (resume = resolve));
      late = ended.then(() => world.record(tx, 'test.slow', event));
      late.catch(() => undefined);
      release = resume;
      await late;
    });
    let release = () => undefined as void;
    await world.startWorker(slow, world.recorder('test.log'));
    const id = await world.writeAsset('asset.ready');
    await world.allHandled('test.log');
    await until('the attempt has failed', async () => {
      const [row] = await world.rows<{ due: boolean }>(
        `select next_at < now() + interval '3 seconds' as due from event_deliveries where consumer = 'test.slow' for update skip locked`,
      );
      return row?.due === true || (await world.handled('test.slow')).length > 0 || null;
    });
    release();
    await expect(late).rejects.toThrow();
    await world.allHandled('test.slow');
    expect((await world.handled('test.slow')).map(({ assetId }) => assetId)).toEqual([id]);
  });

  it.each([
    [
      'has the code of a system error',
      () => Promise.reject(Object.assign(new Error('no such file'), { code: 'ENOENT' })),
    ],
    ['hides an error of the database', (tx: Tx) => tx.$queryRaw`select 1 / 0`.catch(() => undefined)],
  ])('counts a handler as failed that %s', async (_, work: (tx: Tx) => Promise<unknown>) => {
    const failing = consumer('test.failing', READY, async (__, tx) => void (await work(tx)));
    const worker = await world.startWorker(failing);
    await world.writeAsset('asset.ready');
    const outcomes = await until('an attempt has ended', async () => {
      const all = await worker.get(Registry).metrics();
      return all.match(/(?<=consumer="test.failing",outcome=")[a-z-]+(?="\} [1-9])/g);
    });
    expect(outcomes).toEqual(['failed']);
  });

  it('makes an event a dead letter when all attempts crash the worker', async () => {
    const worker = await world.startWorker(world.recorder('test.log'));
    await world.stop(worker);
    await world.writeAsset('asset.ready');
    // The state after eight claims without an outcome.
    await world.rows(`update event_deliveries set attempts = 8`);
    await world.startWorker(world.recorder('test.log'));
    await world.allHandled('test.log');
    const [letter] = await world.deadLetters.list('OPEN', undefined, 1);
    expect(letter).toMatchObject({ attempts: 8, error: expect.stringContaining('the worker crashed') });
    expect(await world.handled('test.log')).toEqual([]);
  });

  it('leaves the effects to the worker that has taken over', async () => {
    await world.stop(await world.startWorker(world.recorder('test.log')));
    await world.writeAsset('asset.ready');
    const worker = await world.startWorker(world.recorder('test.other'));
    const claim = async () => {
      const { deliveries } = await worker.get(EventDeliveriesRepository).claim(new Map([['test.log', 1]]));
      return deliveries[0]!;
    };
    const first = await claim();
    await world.rows('update event_deliveries set next_at = now()');
    const second = await claim();
    const call: AssetEventHandler = (event, tx) => world.record(tx, 'test.log', event, 'a worker');
    const handle = (delivery: Delivery) =>
      worker
        .get(EventHandlingService)
        .handle({ name: 'test.log', call } as EventConsumer, delivery, new AbortController().signal);
    expect(await handle(first)).toBe('lost');
    expect(await world.handled('test.log')).toEqual([]);
    expect(await handle(second)).toBe('delivered');
    expect(await handle(second)).toBe('lost');
    expect(await world.handled('test.log')).toHaveLength(1);
  });

  it('does not let slow handlers of one consumer take the slots or connections of others', async () => {
    const end = new AbortController();
    let running = 0;
    const slow = consumer(
      'test.slow',
      READY,
      async () => {
        running++;
        await delay(3_600_000, undefined, { signal: end.signal });
      },
      { concurrency: 8 },
    );
    await world.startWorker(slow, world.recorder('test.log', { concurrency: 1 }));
    await world.write(
      'asset.ready',
      Array.from({ length: 20 }, () => randomUUID()),
    );
    await until('all slots of the slow consumer are taken', () => running === 8 || null);
    await world.allHandled('test.log');
    expect(await world.handled('test.log')).toHaveLength(20);
    expect(await world.deliveries('test.slow')).toHaveLength(20);
    end.abort(new Error('over'));
  });

  it('gives back the attempts that the stop of a worker ends', async () => {
    let isRunning = false;
    const stuck = consumer('test.log', READY, () => {
      isRunning = true;
      return new Promise<never>(() => undefined);
    });
    const worker = await world.startWorker(stuck);
    await world.writeAsset('asset.ready');
    await until('the handler runs', () => isRunning || null);
    await world.stop(worker);
    expect((await world.deliveries('test.log')).map(({ attempts }) => attempts)).toEqual([0]);
    await world.startWorker(world.recorder('test.log'));
    await until('the event is handled', async () => {
      await world.hurry();
      return (await world.handled('test.log'))[0] ?? null;
    });
  });

  it('counts outcomes and shows backlogs', async () => {
    const failing = consumer('test.failing', READY, () => Promise.reject(new Error('failing')));
    const worker = await world.startWorker(failing, world.recorder('test.log'));
    await world.writeAsset('asset.ready', 'asset.ready');
    await world.allHandled('test.log');
    const metrics = () => worker.get(Registry).metrics();
    const text = await until('the attempts are counted', async () => {
      const all = await metrics();
      return /\{consumer="test.failing",outcome="failed"\} [1-9]/.test(all) &&
        all.includes('{consumer="test.log",outcome="delivered"} 2') &&
        all.includes('stowage_event_deliveries_waiting{consumer="test.log"} 0')
        ? all
        : null;
    });
    expect(text).toContain('stowage_event_deliveries_waiting{consumer="test.failing"} 2');
    expect(text).toMatch(/stowage_event_oldest_waiting_seconds\{consumer="test.failing"\} 0*\.?\d+/);
  });
});
