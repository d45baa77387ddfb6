import { InjectQueue } from '@nestjs/bullmq';
import { Injectable } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { Gauge, Registry } from 'prom-client';
import { atMostEvery, HealthCheck } from '#libs/runtime';
import { INSPECT_QUEUE, PROCESS_QUEUE, TASK_QUEUE } from './queues.js';

const STATES = ['waiting', 'active', 'delayed'] as const;
const TIMEOUT_MS = 2_000;
const FRESH_MS = 500;

interface Depth {
  readonly counts: Record<(typeof STATES)[number], number>;
  readonly ageSeconds: number;
}

/** Health check and metrics of the queues. A queue that does not answer in time has no metrics. */
@Injectable()
export class QueueMetrics {
  /** All queues are on one server, so the check of one is enough. */
  private readonly ping: () => Promise<unknown>;

  constructor(
    @InjectQueue(PROCESS_QUEUE) processing: Queue,
    @InjectQueue(INSPECT_QUEUE) inspections: Queue,
    @InjectQueue(TASK_QUEUE) tasks: Queue,
    registry: Registry,
  ) {
    const queues = [processing, inspections, tasks].map((queue) => {
      const query = sharePending(() => depthOf(queue));
      // All metrics of a scrape share one query.
      const depth = atMostEvery(FRESH_MS, () => Promise.race([query(), tooLate()]));
      return { name: queue.name, depth };
    });
    this.ping = sharePending(() => processing.isPaused());
    const each = async (show: (name: string, depth: Depth) => void) => {
      const result = await Promise.all(queues.map(({ depth }) => depth()));
      result.forEach((depth, index) => depth !== null && show(queues[index]!.name, depth));
    };
    new Gauge({
      name: 'stowage_queue_jobs',
      help: 'Number of jobs by queue and state',
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
      help: 'Age in seconds of the first or last waiting job, whichever is older; 0 if no job waits',
      labelNames: ['queue'],
      registers: [registry],
      async collect() {
        this.reset();
        await each((queue, { ageSeconds }) => this.set({ queue }, ageSeconds));
      },
    });
  }

  /** Rejects if the queue's server does not answer. */
  @HealthCheck('queue')
  check(): Promise<unknown> {
    return this.ping();
  }
}

/** Null if the queue is not available. */
async function depthOf(queue: Queue): Promise<Depth | null> {
  try {
    const {
      waiting = 0,
      prioritized = 0,
      active = 0,
      delayed = 0,
    } = await queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed');
    // Jobs are ordered by priority, and there is no index by age. An old first job shows a stalled queue, an old last
    // job a backlog.
    const last = Math.max(0, prioritized - 1);
    const ends = await Promise.all([
      queue.getJobs('prioritized', 0, 0),
      queue.getJobs('prioritized', last, last),
    ]);
    const oldest = Math.min(Date.now(), ...ends.flat().map(({ timestamp }) => timestamp));
    const counts = { waiting: waiting + prioritized, active, delayed };
    return { counts, ageSeconds: (Date.now() - oldest) / 1000 };
  } catch {
    return null;
  }
}

/** Shares a pending query: BullMQ keeps every query for an unavailable Redis in memory until Redis is back. */
function sharePending<T>(query: () => Promise<T>): () => Promise<T> {
  let pending: Promise<T> | undefined;
  return () => (pending ??= query().finally(() => (pending = undefined)));
}

const tooLate = () => new Promise<null>((resolve) => setTimeout(() => resolve(null), TIMEOUT_MS).unref());
