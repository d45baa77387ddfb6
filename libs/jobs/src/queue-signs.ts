import { InjectQueue } from '@nestjs/bullmq';
import { Injectable } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { Gauge, Registry } from 'prom-client';
import { HealthChecks } from '#libs/runtime';
import { PROCESS_QUEUE } from './queues.js';

const STATES = ['waiting', 'active', 'delayed'] as const;
const TIMEOUT_MS = 2_000;
const FRESH_MS = 500;

interface Depth {
  readonly counts: Record<string, number>;
  readonly ageSeconds: number;
}

/** What is seen of the queue from outside: whether it answers, how much work there is, and how long the oldest of it has been waiting; nothing is shown while the queue does not answer. */
@Injectable()
export class QueueSigns {
  private readonly ask: () => Promise<Depth | null>;
  private last: { readonly at: number; readonly found: Promise<Depth | null> } | undefined;

  constructor(
    @InjectQueue(PROCESS_QUEUE) private readonly queue: Queue,
    registry: Registry,
    health: HealthChecks,
  ) {
    this.ask = oneAtATime(() => this.depth());
    health.add(
      'queue',
      oneAtATime(() => queue.isPaused()),
    );
    const look = () => this.look();
    new Gauge({
      name: 'stowage_queue_jobs',
      help: 'Jobs by queue and state',
      labelNames: ['queue', 'state'],
      registers: [registry],
      async collect() {
        this.reset();
        const found = await look();
        if (found === null) return;
        for (const state of STATES) this.set({ queue: queue.name, state }, found.counts[state] ?? 0);
      },
    });
    new Gauge({
      name: 'stowage_queue_oldest_waiting_seconds',
      help: 'Age of the job that has been waiting for longest, 0 when none is',
      labelNames: ['queue'],
      registers: [registry],
      async collect() {
        this.reset();
        const found = await look();
        if (found !== null) this.set({ queue: queue.name }, found.ageSeconds);
      },
    });
  }

  /** Once for all metrics of a scrape. */
  private look(now = Date.now()): Promise<Depth | null> {
    if (this.last === undefined || now - this.last.at >= FRESH_MS) {
      this.last = { at: now, found: Promise.race([this.ask(), tooLate()]) };
    }
    return this.last.found;
  }

  private async depth(): Promise<Depth | null> {
    try {
      const counts = await this.queue.getJobCounts(...STATES);
      // From the end of what is newest first: asked for the first of what is oldest first, PostgreSQL gives the newest.
      const last = await this.queue.getJobs('waiting', Math.max(0, (counts.waiting ?? 0) - 1), -1);
      const oldest = last.at(-1);
      const ageSeconds = oldest === undefined ? 0 : Math.max(0, Date.now() - oldest.timestamp) / 1000;
      return { counts, ageSeconds };
    } catch {
      return null;
    }
  }
}

/** BullMQ keeps every question for a Redis that is down until it is back: what is open is not asked once more. */
function oneAtATime<T>(ask: () => Promise<T>): () => Promise<T> {
  let open: Promise<T> | undefined;
  return () => (open ??= ask().finally(() => (open = undefined)));
}

const tooLate = () => new Promise<null>((resolve) => setTimeout(() => resolve(null), TIMEOUT_MS).unref());
