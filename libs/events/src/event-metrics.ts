import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { Counter, Gauge, Registry } from 'prom-client';
import { atMostEvery } from '#libs/runtime';
import { type Backlog, EventDeliveriesRepository, MAX_COUNTED } from './event-deliveries.repository.js';

/** `lost`: another worker has claimed the delivery meanwhile. */
export type DeliveryOutcome = 'delivered' | 'failed' | 'unavailable' | 'dead-letter' | 'lost';

const TIMEOUT_MS = 2_000;
const FRESH_MS = 500;

/** Metrics of deliveries and backlogs by consumer. A database that does not answer in time leaves the backlogs out. */
@Injectable()
export class EventMetrics {
  private readonly deliveries: Counter<'consumer' | 'outcome'>;

  constructor(deliveries: EventDeliveriesRepository, registry: Registry) {
    this.deliveries = new Counter({
      name: 'stowage_event_deliveries_total',
      help: 'Attempts of this process to deliver an event to a consumer, by outcome',
      labelNames: ['consumer', 'outcome'],
      registers: [registry],
    });
    // Both gauges of a scrape share one query.
    const backlogs = atMostEvery(FRESH_MS, () =>
      Promise.race([deliveries.backlogs().catch(() => []), delay(TIMEOUT_MS, [], { ref: false })]),
    );
    const gauge = (name: string, help: string, valueOf: (backlog: Backlog) => number) =>
      new Gauge({
        name,
        help,
        labelNames: ['consumer'],
        registers: [registry],
        async collect() {
          this.reset();
          for (const backlog of await backlogs()) this.set({ consumer: backlog.consumer }, valueOf(backlog));
        },
      });
    gauge(
      'stowage_event_deliveries_waiting',
      `Events that a consumer has not handled, counted up to ${MAX_COUNTED}`,
      ({ waiting }) => waiting,
    );
    gauge(
      'stowage_event_oldest_waiting_seconds',
      'Age in seconds of the first event that a consumer has not handled; 0 if there is none',
      ({ oldestSeconds }) => oldestSeconds,
    );
  }

  count(consumer: string, outcome: DeliveryOutcome): void {
    this.deliveries.inc({ consumer, outcome });
  }
}
