import { InjectQueue } from '@nestjs/bullmq';
import { Injectable } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { Gauge, Registry } from 'prom-client';
import { HealthChecks } from '#libs/runtime';
import { INSPECT_QUEUE, PROCESS_QUEUE } from './queues.js';

const STATES = ['waiting', 'active', 'delayed'] as const;
const TIMEOUT_MS = 2_000;
const FRESH_MS = 500;

interface Depth {
  readonly counts: Record<(typeof STATES)[number], number>;
  readonly ageSeconds: number;
}

/** Health checks and metrics of both queues. A queue that does not answer shows no metrics. */
@Injectable()
export class QueueMetrics {
  constructor(
    @InjectQueue(PROCESS_QUEUE) processing: Queue,
    @InjectQueue(INSPECT_QUEUE) inspections: Queue,
    registry: Registry,
    health: HealthChecks,
  ) {
    const queues = [processing, inspections].map((queue) => ({
      name: queue.name,
      state: new QueueState(queue),
    }));
    // Both are on the same server.
    health.add(
      'queue',
      oneAtATime(() => processing.isPaused()),
    );
    const each = async (show: (name: string, depth: Depth) => void) => {
      const found = await Promise.all(queues.map(({ state }) => state.look()));
      found.forEach((depth, index) => depth !== null && show(queues[index]!.name, depth));
    };
    new Gauge({
      name: 'stowage_queue_jobs',
      help: 'Jobs by queue and state',
      labelNames: ['queue', 'state'],
      registers: [registry],
      async collect() {
        this.reset();
        await each((queue, { counts }) => {
          for (const state of STATES) this.set({ queue, state }, counts[state]);
        });
      },
    });
    new Gauge({
      name: 'stowage_queue_oldest_waiting_seconds',
      help: 'Age in seconds of the first or the last waiting job, whichever is older; 0 when none waits',
      labelNames: ['queue'],
      registers: [registry],
      async collect() {
        this.reset();
        await each((queue, { ageSeconds }) => this.set({ queue }, ageSeconds));
      },
    });
  }
}

class QueueState {
  private readonly ask = oneAtATime(() => this.depth());
  private last: { readonly at: number; readonly found: Promise<Depth | null> } | undefined;

  constructor(private readonly queue: Queue) {}

  /** Once for all metrics of a scrape. */
  look(now = Date.now()): Promise<Depth | null> {
    if (this.last === undefined || now - this.last.at >= FRESH_MS) {
      this.last = { at: now, found: Promise.race([this.ask(), tooLate()]) };
    }
    return this.last.found;
  }

  private async depth(): Promise<Depth | null> {
    try {
      const {
        active = 0,
        delayed = 0,
        ...ready
      } = await this.queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed');
      const counts = { waiting: (ready.waiting ?? 0) + (ready.prioritized ?? 0), active, delayed };
      // Ordered by priority, for which there is no index by age: the first shows a queue that stands still, the last a backlog.
      const last = Math.max(0, (ready.prioritized ?? 0) - 1);
      const ends = await Promise.all([
        this.queue.getJobs('prioritized', 0, 0),
        this.queue.getJobs('prioritized', last, last),
      ]);
      const oldest = Math.min(Date.now(), ...ends.flat().map(({ timestamp }) => timestamp));
      const ageSeconds = (Date.now() - oldest) / 1000;
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
