import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { EventFaults, type Verdict } from './faults/event-faults.js';
import { Faults } from './faults/faults.js';
import type { Outbox, OutboxEntry } from './store/outbox.js';

export type Publish = (
  topic: string,
  message: { data: Buffer; attributes: Record<string, string> },
) => Promise<void>;

const BATCH = 64;
const PUBLISH_TIMEOUT_MS = 5_000;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;

/**
 * Publishes the entries of the outbox, oldest first, and removes each after it was published: at-least-once delivery,
 * like the real service. After a failure the publisher backs off from the topic, from 100 ms up to 5 s, and continues
 * with the others.
 */
export class Publisher {
  private readonly backoffs = new Map<string, { failures: number; until: number }>();
  private readonly stopping = new AbortController();
  private wakeUp = new AbortController();
  private readonly faults: EventFaults;
  private readonly done: Promise<void>;

  constructor(
    private readonly outbox: Outbox,
    private readonly publish: Publish,
    private readonly onError: (error: unknown) => void,
    faults: Faults = new Faults(),
  ) {
    this.faults = new EventFaults(faults, () => this.wakeUp.abort());
    outbox.onEnqueued(() => this.wakeUp.abort());
    this.done = this.run();
  }

  /** Waits for the current batch. The next process publishes the remaining entries. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.wakeUp.abort();
    await this.done;
  }

  private async run(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      this.wakeUp = new AbortController();
      try {
        this.outbox.dropUndeliverable();
        const waits = this.topicsInBackoff();
        const entries = this.outbox.pending(BATCH, [...waits.keys()], this.faults.heldIds);
        if (entries.length > 0) await this.publishBatch(entries);
        else await this.sleep(Math.min(...waits.values()));
      } catch (error) {
        this.onError(error);
        await this.sleep(LAST_RETRY_MS);
      }
    }
  }

  /** Topics in backoff, with the milliseconds that remain. */
  private topicsInBackoff(): Map<string, number> {
    const now = performance.now();
    const waits = [...this.backoffs].map(([topic, { until }]) => [topic, until - now] as const);
    return new Map(waits.filter(([, wait]) => wait > 0));
  }

  /** Waits until an event is enqueued, faults release one, or `longestMs` have passed. */
  private async sleep(longestMs: number): Promise<void> {
    const { signal } = this.wakeUp;
    if (signal.aborted) return;
    if (longestMs === Infinity) await once(signal, 'abort');
    // The abort only ends the wait early.
    else await delay(longestMs, undefined, { signal }).catch(() => undefined);
  }

  private async publishBatch(batch: readonly OutboxEntry[]): Promise<void> {
    const decided = batch.map((entry) => [entry, this.faults.judge(entry)] as const);
    const due = decided.filter((pair): pair is [OutboxEntry, Exclude<Verdict, 'held'>] => pair[1] !== 'held');
    const entries = due.map(([entry]) => entry);
    const results = await Promise.allSettled(
      due.map(([entry, copies]) => Promise.all(Array.from({ length: copies }, () => this.publishOne(entry)))),
    );
    const published: OutboxEntry[] = [];
    const failed = new Set<string>();
    for (const [i, entry] of entries.entries()) {
      if (results[i]?.status === 'fulfilled') published.push(entry);
      else failed.add(entry.topic);
    }
    this.outbox.remove(published.map(({ id }) => id));
    this.faults.published(published);
    for (const { topic } of entries) if (!failed.has(topic)) this.backoffs.delete(topic);
    for (const topic of failed) this.backOff(topic);
    const reasons = results.filter((result) => result.status === 'rejected');
    if (reasons[0]) this.onError(reasons[0].reason);
  }

  private backOff(topic: string): void {
    const failures = (this.backoffs.get(topic)?.failures ?? 0) + 1;
    const pause = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
    this.backoffs.set(topic, { failures, until: performance.now() + pause });
  }

  private async publishOne({ topic, data, attributes }: OutboxEntry): Promise<void> {
    const timeout = new AbortController();
    const expired = delay(PUBLISH_TIMEOUT_MS, undefined, { signal: timeout.signal }).then(() => {
      throw new Error(`publishing to ${topic} took more than ${PUBLISH_TIMEOUT_MS} ms`);
    });
    try {
      await Promise.race([this.publish(topic, { data, attributes }), expired]);
    } finally {
      timeout.abort();
      expired.catch(() => undefined);
    }
  }
}
