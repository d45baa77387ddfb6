import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { LoggerModule } from 'nestjs-pino';
import {
  Database,
  DatabaseConfig,
  DatabaseModule,
  type NotificationListener,
  type Notifications,
  type Tx,
} from '#libs/database';
import type { DomainEvent } from '#libs/domain';
import { AssetFeed, DomainEventsRepository, EventsModule, FeedModule } from '#libs/events';
import { ConfigurationModule, configured, HealthModule, MetricsModule } from '#libs/runtime';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';
import { until } from '../../../libs/testing/src/until.js';

/** Real: PostgreSQL. Each Nest module stands for a process; the modules share only the database. */
describe('the event log', () => {
  let testDatabase: TestDatabase;
  const modules: TestingModule[] = [];
  beforeEach(async () => {
    testDatabase = await createTestDatabase();
  });
  afterEach(async () => {
    for (const module of modules.splice(0)) await module.close();
    await testDatabase.drop();
  });

  async function start() {
    const database = configured(DatabaseConfig, { url: testDatabase.url, poolSize: 5 });
    const module = await Test.createTestingModule({
      imports: [
        ConfigurationModule.forRoot({ database }),
        LoggerModule.forRoot({ pinoHttp: { level: 'silent' }, forRoutes: [] }),
        MetricsModule,
        HealthModule.forRoot(),
        DatabaseModule,
        EventsModule,
        FeedModule,
      ],
    }).compile();
    await module.init();
    modules.push(module);
    const feed = module.get(AssetFeed);
    await until('the feed listens', () => feed.isListening || null);
    return {
      database: module.get(Database),
      events: module.get(DomainEventsRepository),
      feed,
    };
  }

  /** Counts the notifications of the feed per asset id. */
  function listen(feed: AssetFeed, ids: readonly string[]): Map<string, number> {
    const heard = new Map<string, number>();
    for (const id of ids) {
      const watch = feed.watch([id]);
      const notify = watch.notify.bind(watch);
      watch.notify = (changed) => {
        heard.set(id, (heard.get(id) ?? 0) + 1);
        notify(changed);
      };
    }
    return heard;
  }

  const event = (assetId: string): DomainEvent => ({ type: 'asset.ready', assetId, ownerId: 42n });
  const undelivered = async (database: Database) =>
    database.prisma.domainEvent.count({ where: { deliveredAt: null } });

  it('delivers each event once among several relays, to every listening process', async () => {
    const processes = [await start(), await start(), await start()];
    const ids = Array.from({ length: 600 }, () => randomUUID());
    const heard = processes.map(({ feed }) => listen(feed, ids));
    const left = ids.values();
    const append = async ({ database, events }: (typeof processes)[number]) => {
      for (const id of left) {
        await database.transaction((tx: Tx) => events.append(tx, event(id)));
      }
    };
    // Fewer writers than pool connections: a transaction fails if it waits too long for a connection.
    await Promise.all(processes.flatMap((each) => Array.from({ length: 4 }, () => append(each))));
    await until('all events are delivered', () => heard.every((each) => each.size === ids.length) || null);
    for (const each of heard) expect([...each.values()]).toEqual(ids.map(() => 1));
    expect(await undelivered(processes[0]!.database)).toBe(0);
  });

  it('delivers an event that commits after later ones were delivered', async () => {
    const { database, events, feed } = await start();
    const [early, late] = [randomUUID(), randomUUID()];
    const heard = listen(feed, [early, late]);
    let commit = () => undefined as void;
    const slow = database.transaction(async (tx: Tx) => {
      await events.append(tx, event(late));
      await new Promise<void>((resolve) => (commit = resolve));
    });
    await until('the slow transaction has its id', async () => {
      const { rows } = await database.pool.query<{ last: bigint }>(
        'select last_value as last from domain_events_id_seq where is_called',
      );
      return rows[0]?.last === 1n || null;
    });
    await database.transaction((tx: Tx) => events.append(tx, event(early)));
    await until('the event that committed first is delivered', () => heard.get(early) ?? null);
    expect(heard.get(late)).toBeUndefined();
    commit();
    await slow;
    await until('the event that committed last is delivered', () => heard.get(late) ?? null);
  });

  it('delivers committed events without a wake-up and rolled-back events never', async () => {
    const { database, events, feed } = await start();
    const [committed, rolledBack] = [randomUUID(), randomUUID()];
    const heard = listen(feed, [committed, rolledBack]);
    const failing = database.transaction(async (tx: Tx) => {
      await events.append(tx, event(rolledBack));
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    await database.transaction((tx: Tx) => events.append(tx, event(committed)));
    await until('the event is delivered', () => heard.get(committed) ?? null);
    expect([...heard.keys()]).toEqual([committed]);
  });

  it('delivers while it is woken continuously', async () => {
    const { database, events, feed } = await start();
    const id = randomUUID();
    const heard = listen(feed, [id]);
    const waking = setInterval(() => events.announce(), 1);
    try {
      await database.transaction((tx: Tx) => events.append(tx, event(id)));
      await until('the event is delivered', () => heard.get(id) ?? null);
    } finally {
      clearInterval(waking);
    }
  });

  it('delivers more events than fit into one notification or claim', async () => {
    const { database, feed } = await start();
    const ids = Array.from({ length: 2_500 }, () => randomUUID());
    const heard = listen(feed, ids);
    await database.prisma.domainEvent.createMany({ data: ids.map(event) });
    await until('all events are delivered', () => heard.size === ids.length || null);
    expect(await undelivered(database)).toBe(0);
  });

  it('removes a closed watch', async () => {
    const { feed } = await start();
    const id = randomUUID();
    const [closed, open] = [feed.watch([id]), feed.watch([id])];
    closed.close();
    const end = new AbortController();
    const heard = open.next(end.signal).then(() => 'heard');
    closed.notify(id);
    end.abort();
    expect(await heard).toBe('heard');
    open.close();
    expect(feed).toHaveProperty('watches', new Map());
  });

  it('drops assets that a watch no longer covers and their pending notifications', async () => {
    const { feed } = await start();
    const [kept, left] = [randomUUID(), randomUUID()];
    const watch = feed.watch([kept, left]);
    watch.notify(left);
    watch.narrow(new Set([kept]));
    expect(feed).toHaveProperty('watches', new Map([[kept, new Set([watch])]]));
    const end = new AbortController();
    let isHeard = false;
    const heard = watch.next(end.signal).then(() => (isHeard = true));
    // Enough time for a resolved promise, but not for the periodic check of the watch.
    await new Promise((resolve) => setImmediate(resolve));
    expect(isHeard).toBe(false);
    watch.notify(kept);
    await heard;
    watch.close();
    expect(feed).toHaveProperty('watches', new Map());
  });

  it('returns the changed assets, and all of them at a heartbeat of a watch that is woken often', async () => {
    const { feed } = await start();
    const ids = [randomUUID(), randomUUID()];
    const { signal } = new AbortController();
    // A heartbeat interval of 75 milliseconds.
    const random = jest.spyOn(Math, 'random').mockReturnValue(-1.49);
    const watch = feed.watch(ids);
    // No heartbeat for hours after the first one.
    random.mockReturnValue(1_000);
    let all = await watch.next(signal, 1);
    while (all.size === 0) all = await watch.next(signal, 1);
    expect([...all]).toEqual(ids);
    watch.notify(ids[1]!);
    expect([...(await watch.next(signal))]).toEqual([ids[1]]);
    expect((await watch.next(signal, 1)).size).toBe(0);
    const woken = watch.next(signal);
    watch.wake();
    expect((await woken).size).toBe(0);
    random.mockRestore();
    watch.close();
  });

  it('shortens waits that began before the connection was lost', async () => {
    let listener: NotificationListener | undefined;
    const notifications = {
      isListening: true,
      listen: (_: string, of: NotificationListener) => (listener = of),
    };
    const watch = new AssetFeed(notifications as unknown as Notifications).watch([randomUUID()]);
    const random = jest.spyOn(Math, 'random').mockReturnValue(1_000);
    const waiting = watch.next(new AbortController().signal);
    notifications.isListening = false;
    listener!.disconnected!();
    expect((await waiting).size).toBe(0);
    random.mockRestore();
    watch.close();
  });
});
