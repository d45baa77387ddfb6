import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { inBatches, removal, StowageTask, type TaskContext, type TaskStep } from '#libs/runtime';
import { DomainEventsRepository } from './domain-events.repository.js';
import { EventConsumersRepository } from './event-consumers.repository.js';
import { EventsConfig } from './events.config.js';

const BATCH = 5_000;
const DAY_MS = 24 * 3_600_000;

/** Removes old events of the log, and consumers that no worker runs. */
@Injectable()
export class EventRetentionService {
  constructor(
    private readonly config: EventsConfig,
    private readonly events: DomainEventsRepository,
    private readonly consumers: EventConsumersRepository,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(EventRetentionService.name);
  }

  /**
   * Removes old events that were announced, and the consumers that no worker has run since, with their deliveries. Deliveries of other
   * consumers are independent of the events and stay. Works in batches, each of which is one transaction.
   * @returns the number of removed events
   * @throws StowageError unavailable
   */
  async prune({ now, signal }: Pick<TaskContext, 'now' | 'signal'>): Promise<number> {
    const cutoff = this.cutoff(now);
    for (const consumer of await this.consumers.removeUnseen(cutoff))
      this.logger.warn({ consumer }, 'event consumer removed: no worker runs it');
    await inBatches(signal, () => this.consumers.removeOrphans(BATCH));
    return inBatches(signal, () => this.events.prune(cutoff, BATCH));
  }

  @StowageTask('prune-events', { cron: '30 2 * * *' })
  *pruneEvents(context: TaskContext): Generator<TaskStep> {
    const count = () => this.events.countPrunable(this.cutoff(context.now));
    yield removal('domain_events', context, count, () => this.prune(context));
  }

  private cutoff(now: Date): Date {
    return new Date(now.getTime() - this.config.retentionDays * DAY_MS);
  }
}
