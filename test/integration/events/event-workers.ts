import { randomUUID } from 'node:crypto';
import type { Type } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { LoggerModule } from 'nestjs-pino';
import { Database, DatabaseConfig, DatabaseModule, type Tx } from '#libs/database';
import type { AssetEventType } from '#libs/domain';
import {
  type AssetEvent,
  type AssetEventHandler,
  type ConsumerOptions,
  EventConsumersModule,
  EventRetentionService,
  EventsConfig,
  EventsModule,
  OnAssetEvent,
} from '#libs/events';
import { DeadLettersModule, DeadLettersService } from '#libs/queue';
import { ConfigurationModule, configured, HealthModule, MetricsModule } from '#libs/runtime';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';
import { until } from '../../../libs/testing/src/until.js';

/** A provider whose method is the handler of a consumer. */
export function consumer(
  name: string,
  types: readonly AssetEventType[],
  handle: AssetEventHandler,
  options?: ConsumerOptions,
): Type {
  class Handler {
    @OnAssetEvent(name, types, options)
    handle(...args: Parameters<AssetEventHandler>): Promise<void> {
      return handle(...args);
    }
  }
  return Handler;
}

/** An event that a consumer has recorded. */
export interface Handled {
  readonly id: bigint;
  readonly assetId: string;
  readonly worker: string;
}

/** The deliveries that a worker has claimed and whose attempt has not ended. */
const LEASES = `create table leases (consumer text, event_id bigint, primary key (consumer, event_id));
  create function note_lease() returns trigger language plpgsql as $$ begin
    delete from leases where consumer = old.consumer and event_id = old.event_id;
    if tg_op = 'UPDATE' and new.attempts > old.attempts then insert into leases values (new.consumer, new.event_id); end if;
    return null;
  end $$;
  create trigger note_lease after update or delete on event_deliveries for each row execute function note_lease()`;

/** A database and any number of Nest modules, each of which stands for a process. They share only the database. */
export class EventWorkers implements AsyncDisposable {
  /** Creates the database, and starts a process without consumers, as the API is. */
  static async start(): Promise<EventWorkers> {
    const world = new EventWorkers(await createTestDatabase());
    const module = await world.startProcess([EventsModule, DeadLettersModule], []);
    world.database = module.get(Database);
    world.deadLetters = module.get(DeadLettersService);
    await world.rows(
      'create table handled (place bigserial primary key, consumer text, event_id bigint, asset_id uuid, worker text)',
    );
    await world.rows(LEASES);
    return world;
  }

  private readonly modules: TestingModule[] = [];
  database!: Database;
  deadLetters!: DeadLettersService;

  private constructor(readonly testDatabase: TestDatabase) {}

  /** Starts a worker with these consumers. */
  startWorker(...consumers: Type[]): Promise<TestingModule> {
    return this.startProcess([EventsModule, EventConsumersModule], consumers);
  }

  private async startProcess(imports: Type[], providers: Type[]): Promise<TestingModule> {
    const module = await Test.createTestingModule({
      imports: [
        ConfigurationModule.forRoot({
          database: configured(DatabaseConfig, { url: this.testDatabase.url, poolSize: 5 }),
          events: configured(EventsConfig, { retentionDays: 30 }),
        }),
        LoggerModule.forRoot({ pinoHttp: { level: 'silent' }, forRoutes: [] }),
        MetricsModule,
        HealthModule.forRoot(),
        DatabaseModule,
        ...imports,
      ],
      providers,
    }).compile();
    // A module whose start fails has timers too.
    this.modules.push(module);
    return module.init();
  }

  /** Stops one process. */
  async stop(module: TestingModule): Promise<void> {
    this.modules.splice(this.modules.indexOf(module), 1);
    await module.close();
  }

  async rows<Row>(sql: string, ...values: unknown[]): Promise<Row[]> {
    return (await this.database.pool.query(sql, values)).rows as Row[];
  }

  /** Writes one event of each asset, in one statement, as SQL that knows nothing of consumers does. @returns their ids */
  async write(type: AssetEventType, assetIds: readonly string[]): Promise<bigint[]> {
    const rows = await this.rows<{ id: bigint }>(
      'insert into domain_events (type, asset_id, owner_id) select $1, unnest($2::uuid[]), 42 returning id',
      type,
      assetIds,
    );
    return rows.map(({ id }) => id);
  }

  /** Writes events of one new asset. */
  async writeAsset(...types: AssetEventType[]): Promise<string> {
    const id = randomUUID();
    for (const type of types) await this.write(type, [id]);
    return id;
  }

  /**
   * Ends all pauses of deliveries, so that a test need not wait for them. Leaves leases alone: a worker that has claimed a delivery
   * may not have called the handler yet, and would lose the attempt.
   */
  async hurry(): Promise<null> {
    await this.rows(`update event_deliveries d set next_at = now() from (
        select consumer, event_id from event_deliveries where next_at > now() and (consumer, event_id) not in (
          select consumer, event_id from leases) for update skip locked) w
      where d.consumer = w.consumer and d.event_id = w.event_id`);
    return null;
  }

  /** Records in the transaction of a handler that it handled the event. */
  async record(tx: Tx, name: string, { id, assetId }: AssetEvent, worker = ''): Promise<void> {
    await tx.$executeRaw`insert into handled (consumer, event_id, asset_id, worker)
      values (${name}, ${id}, ${assetId}::uuid, ${worker})`;
  }

  /** A consumer that records its events. */
  recorder(
    name: string,
    options?: ConsumerOptions,
    types: readonly AssetEventType[] = ['asset.ready'],
  ): Type {
    return consumer(name, types, (event, tx) => this.record(tx, name, event), options);
  }

  /** The recorded events of a consumer; those of one asset are in the order of their commits. */
  handled(name: string): Promise<Handled[]> {
    return this.rows(
      'select event_id as id, asset_id as "assetId", worker from handled where consumer = $1 order by place',
      name,
    );
  }

  /** The events that a consumer has not handled yet. */
  deliveries(name: string): Promise<{ readonly id: bigint; readonly attempts: number }[]> {
    return this.rows(
      'select event_id as id, attempts from event_deliveries where consumer = $1 order by 1',
      name,
    );
  }

  /** Waits until a consumer has handled all events. */
  async allHandled(name: string): Promise<void> {
    const waiting = `select 1 from event_deliveries where consumer = $1
      union all select 1 from event_consumers where name = $1 and backfill_before is not null`;
    await until(
      `${name} has handled all events`,
      async () => (await this.rows(waiting, name)).length === 0 || null,
    );
  }

  retention(module: TestingModule, now: Date): Promise<number> {
    return module.get(EventRetentionService).prune({ now, signal: new AbortController().signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const module of this.modules.splice(0)) await module.close();
    await this.testDatabase.drop();
  }
}
