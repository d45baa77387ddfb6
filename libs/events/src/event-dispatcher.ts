import {
  type BeforeApplicationShutdown,
  Injectable,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { DomainEventsRepository } from './domain-events.repository.js';
import { EventConsumersService } from './event-consumers.service.js';
import { type Delivery, EventDeliveriesRepository } from './event-deliveries.repository.js';
import { EventHandlingService } from './event-handling.service.js';
import { EventMetrics } from './event-metrics.js';
import { WakeableLoop } from './wakeable-loop.js';

/** Part of the nine seconds that a worker has for its shutdown. */
const DRAIN_MS = 4_000;

/**
 * Delivers events to the consumers of this process. Any number of workers share the deliveries. One statement claims for all
 * consumers with free slots; a consumer whose slots are taken by slow handlers holds up no other.
 */
@Injectable()
export class EventDispatcher implements OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown {
  private readonly loop = new WakeableLoop(() => this.claim(), { heartbeatMs: 1_000, batchMs: 5, busyMs: 5 });
  private readonly running = new Map<Promise<void>, string>();
  private readonly drained = new AbortController();
  private drainTimer: NodeJS.Timeout | undefined;

  constructor(
    private readonly consumers: EventConsumersService,
    private readonly deliveries: EventDeliveriesRepository,
    private readonly handling: EventHandlingService,
    private readonly metrics: EventMetrics,
    events: DomainEventsRepository,
  ) {
    events.onAnnouncement(() => this.loop.wake());
  }

  onApplicationBootstrap(): void {
    if (this.consumers.all.length > 0) this.loop.start();
  }

  /** Claims no further deliveries. The running handlers have their time while other modules shut down. */
  onModuleDestroy(): Promise<void> {
    this.drainTimer = setTimeout(() => this.drained.abort(), DRAIN_MS);
    return this.loop.stop();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all(this.running.keys());
    clearTimeout(this.drainTimer);
  }

  /**
   * Delivers all events that are due, and those that become due by that, without the loop.
   * @returns the number of attempts
   */
  async deliverDue(): Promise<number> {
    for (let attempts = 0; ;) {
      const hasMore = await this.claim();
      attempts += this.running.size;
      if (this.running.size === 0 && !hasMore) return attempts;
      await Promise.all(this.running.keys());
    }
  }

  /** Fills the free slots. @returns whether there may be more due deliveries for them */
  private async claim(): Promise<boolean> {
    const free = this.freeSlots();
    if (free.size === 0) return false;
    const { deliveries, hasMore } = await this.deliveries.claim(free);
    for (const delivery of deliveries) this.run(delivery);
    return hasMore;
  }

  private freeSlots(): ReadonlyMap<string, number> {
    const free = new Map(this.consumers.all.map(({ name, concurrency }) => [name, concurrency]));
    for (const name of this.running.values()) free.set(name, free.get(name)! - 1);
    for (const [name, slots] of free) if (slots === 0) free.delete(name);
    return free;
  }

  private run(delivery: Delivery): void {
    const consumer = this.consumers.all.find(({ name }) => name === delivery.consumer)!;
    const running = this.handling.handle(consumer, delivery, this.drained.signal).then((outcome) => {
      this.metrics.count(consumer.name, outcome);
      this.running.delete(running);
      this.loop.wake();
    });
    this.running.set(running, consumer.name);
  }
}
