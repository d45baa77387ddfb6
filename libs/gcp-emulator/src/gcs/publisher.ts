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
 * Publishes what is in the outbox, oldest first, and takes it out when that succeeded: at least once, like the real service. A
 * topic that fails is left alone for a while, 100 ms growing to 5 s; the other topics go on.
 */
export class Publisher {
  private readonly resting = new Map<string, { failures: number; until: number }>();
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

  /** Lets the batch under way finish. What is left is published by the next process. */
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
        const resting = this.restingTopics();
        const entries = this.outbox.pending(BATCH, [...resting.keys()], this.faults.heldIds);
        if (entries.length > 0) await this.publishBatch(entries);
        else await this.rest(Math.min(...resting.values()));
      } catch (error) {
        this.onError(error);
        await this.rest(LAST_RETRY_MS);
      }
    }
  }

  /** Topics to be left alone, and for how many milliseconds yet. */
  private restingTopics(): Map<string, number> {
    const now = performance.now();
    const waits = [...this.resting].map(([topic, { until }]) => [topic, until - now] as const);
    return new Map(waits.filter(([, wait]) => wait > 0));
  }

  /** Until something is enqueued, or the milliseconds have passed. */
  private async rest(longest: number): Promise<void> {
    const { signal } = this.wakeUp;
    if (signal.aborted) return;
    if (longest === Infinity) await once(signal, 'abort');
    // To be woken early is not an error.
    else await delay(longest, undefined, { signal }).catch(() => undefined);
  }

  private async publishBatch(batch: readonly OutboxEntry[]): Promise<void> {
    const judged = batch.map((entry) => [entry, this.faults.judge(entry)] as const);
    const due = judged.filter((pair): pair is [OutboxEntry, Exclude<Verdict, 'held'>] => pair[1] !== 'held');
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
    for (const { topic } of entries) if (!failed.has(topic)) this.resting.delete(topic);
    for (const topic of failed) this.restTopic(topic);
    const reasons = results.filter((result) => result.status === 'rejected');
    if (reasons[0]) this.onError(reasons[0].reason);
  }

  private restTopic(topic: string): void {
    const failures = (this.resting.get(topic)?.failures ?? 0) + 1;
    const pause = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
    this.resting.set(topic, { failures, until: performance.now() + pause });
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
