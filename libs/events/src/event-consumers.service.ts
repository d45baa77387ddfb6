import {
  Injectable,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Database } from '#libs/database';
import { kindOf } from '#libs/domain';
import { Contributions, waitFor } from '#libs/runtime';
import { EventConsumersRepository, type RegisteredConsumer } from './event-consumers.repository.js';
import { CONSUMER, consumersOf, type EventConsumer } from './on-asset-event.js';

const REFRESH_MS = 60_000;

/** The consumers of this process: finds their methods, and keeps them registered. */
@Injectable()
export class EventConsumersService implements OnModuleInit, OnApplicationBootstrap, OnModuleDestroy {
  private found: readonly EventConsumer[] | undefined;
  private timer: NodeJS.Timeout | undefined;
  private backfilling: Promise<void> | undefined;
  private isStopping = false;

  constructor(
    private readonly contributions: Contributions,
    private readonly consumers: EventConsumersRepository,
    private readonly database: Database,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(EventConsumersService.name);
  }

  /** @throws Error if a declaration is invalid or two consumers have one name */
  get all(): readonly EventConsumer[] {
    return (this.found ??= consumersOf(this.contributions.methods(CONSUMER)));
  }

  /** @throws Error with a message of one sentence if a declaration is invalid */
  async onModuleInit(): Promise<void> {
    // A handler holds a connection. Slow handlers would otherwise leave none for other work, or for other consumers.
    this.database.addConnections(this.all.reduce((sum, { concurrency }) => sum + concurrency, 0));
    await waitFor(
      'the registration of event consumers',
      () => this.register(),
      (error) => kindOf(error) === 'unavailable',
    );
  }

  onApplicationBootstrap(): void {
    if (this.all.length === 0) return;
    void this.refresh();
    this.timer = setInterval(() => void this.refresh(), REFRESH_MS);
  }

  async onModuleDestroy(): Promise<void> {
    this.isStopping = true;
    clearInterval(this.timer);
    await this.backfilling;
  }

  /**
   * Registers the consumers that are not registered.
   * @returns those that wait for their backfill
   * @throws Error if a consumer is registered for other types; StowageError unavailable
   */
  async register(): Promise<string[]> {
    const names = this.all.map(({ name }) => name);
    if (names.length === 0) return [];
    let registered = await this.registered(names);
    for (const consumer of this.all.filter(({ name }) => !registered.has(name))) {
      await this.consumers.register(consumer);
      this.logger.info({ consumer: consumer.name, from: consumer.from }, 'event consumer registered');
      registered = await this.registered(names);
    }
    for (const { name, types } of this.all) {
      const before = registered.get(name)?.types ?? types;
      if (before.toSorted().join() !== types.toSorted().join()) {
        throw new Error(
          `The event consumer ${name} is registered for ${before.join(', ')} and now declares ${types.join(', ')}: give it another name.`,
        );
      }
    }
    return names.filter((name) => registered.get(name)?.isBackfilling);
  }

  /** Adds the retained events to new consumers that start from the beginning. @throws StowageError unavailable */
  async backfill(names: readonly string[]): Promise<void> {
    for (const name of names) while (!this.isStopping && (await this.consumers.backfill(name)));
  }

  private async registered(names: readonly string[]): Promise<ReadonlyMap<string, RegisteredConsumer>> {
    return new Map((await this.consumers.see(names)).map((consumer) => [consumer.name, consumer]));
  }

  /** Also registers a consumer that was removed because its workers could not reach the database for the retention period. */
  private refresh(): Promise<void> {
    this.backfilling ??= this.register()
      .then((names) => this.backfill(names))
      .catch((err: unknown) => this.logger.warn({ err }, 'event consumers not refreshed'))
      .finally(() => (this.backfilling = undefined));
    return this.backfilling;
  }
}
