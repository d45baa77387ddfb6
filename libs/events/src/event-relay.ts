import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { DomainEventsRepository } from './domain-events.repository.js';
import { WakeableLoop } from './wakeable-loop.js';

const BATCH = 1_000;

/**
 * Notifies watchers of the event log: claims undelivered events and notifies all listening processes of the affected assets. Any
 * number of processes together deliver each event once, however late its transaction committed. The claim and the
 * notification are one commit. A notification carries ids only. A process that is not listening misses it and re-reads
 * its assets at its next heartbeat. An error of the database is left to the health check.
 */
@Injectable()
export class EventRelay implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly loop = new WakeableLoop(async () => (await this.events.deliver(BATCH)) === BATCH, {
    // Every process also delivers the events that another process left undelivered when it died.
    heartbeatMs: 1_000,
    batchMs: 5,
    busyMs: 25,
  });

  constructor(private readonly events: DomainEventsRepository) {
    events.onAnnouncement(() => this.loop.wake());
  }

  onApplicationBootstrap(): void {
    this.loop.start();
  }

  beforeApplicationShutdown(): Promise<void> {
    return this.loop.stop();
  }
}
