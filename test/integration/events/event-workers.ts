import { randomUUID } from 'node:crypto';
import type { Type } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { LoggerModule } from 'nestjs-pino';
import { Database, DatabaseConfig, DatabaseModule } from '#libs/database';
import type { AssetEventType } from '#libs/domain';
import {
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

/** A database and any number of Nest modules, each of which stands for a process. They share only the database. */
export class EventWorkers implements AsyncDisposable {
  static async start(): Promise<EventWorkers> {
    return new EventWorkers(await createTestDatabase());
  }

  private readonly modules: TestingModule[] = [];
  /** Of a process without consumers, as the API is. */
  database!: Database;
  deadLetters!: DeadLettersService;

  private constructor(readonly testDatabase: TestDatabase) {}

  /** Starts the process without consumers. */
  async startApi(): Promise<void> {
    const module = await this.startProcess([EventsModule, DeadLettersModule], []);
    this.database = module.get(Database);
    this.deadLetters = module.get(DeadLettersService);
  }

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
    await module.init();
    this.modules.push(module);
    return module;
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

  /** Ends all pauses of deliveries that no handler runs, so that a test need not wait for them. */
  async hurry(): Promise<null> {
    await this.rows(`update event_deliveries d set next_at = now() from (
        select consumer, event_id from event_deliveries where next_at > now() for update skip locked) w
      where d.consumer = w.consumer and d.event_id = w.event_id`);
    return null;
  }

  retention(module: TestingModule, now: Date): Promise<number> {
    return module.get(EventRetentionService).prune(now, new AbortController().signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const module of this.modules.splice(0)) await module.close();
    await this.testDatabase.drop();
  }
}
