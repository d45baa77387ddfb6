import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { DomainEventsRepository } from './domain-events.repository.js';

const BATCH = 1_000;
/** Interval at which every process delivers the events that another process left undelivered when it died. */
const HEARTBEAT_MS = 1_000;
/** Delay before a delivery, so that commits within it are delivered together. */
const BATCH_DELAY_MS = 5;
/** Delay after a delivery during which more events were committed: a busy process delivers larger batches. */
const BUSY_BATCH_DELAY_MS = 25;

/**
 * Delivers the event log: claims undelivered events and notifies all listening processes of the affected assets. Any
 * number of processes together deliver each event once, however late its transaction committed. The claim and the
 * notification are one commit. A notification carries ids only. A process that is not listening misses it and re-reads
 * its assets at its next heartbeat.
 */
@Injectable()
export class EventRelay implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private rerun = false;
  private scheduled = false;
  private started = false;

  constructor(private readonly events: DomainEventsRepository) {}

  onApplicationBootstrap(): void {
    this.started = true;
    this.schedule(HEARTBEAT_MS);
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.started = false;
    clearTimeout(this.timer);
    await this.running;
  }

  /** Call after a commit that wrote events; otherwise they wait for the heartbeat. */
  wake(): void {
    if (!this.started) return;
    if (this.running !== undefined) this.rerun = true;
    else if (!this.scheduled) {
      // Later calls must not restart the timer: under load they never pause.
      this.scheduled = true;
      this.schedule(BATCH_DELAY_MS);
    }
  }

  private schedule(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.scheduled = false;
      this.running = this.deliver().finally(() => {
        this.running = undefined;
        if (!this.started) return;
        this.schedule(this.rerun ? BUSY_BATCH_DELAY_MS : HEARTBEAT_MS);
        this.rerun = false;
      });
    }, ms);
  }

  /** Ignores a database error: the health check reports it, and the next heartbeat tries again. */
  private async deliver(): Promise<void> {
    try {
      if ((await this.events.deliver(BATCH)) === BATCH) this.rerun = true;
    } catch {
      this.rerun = false;
    }
  }
}
