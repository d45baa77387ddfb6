import { setTimeout as delay } from 'node:timers/promises';
import type { Job, Queue } from 'bullmq';
import { unavailable } from '#libs/domain';
import { CRASHES_PER_ATTEMPT, LONGEST_RETRY_MS, MOST_STALLS } from './worker-options.js';

/** The shortest lock that can be configured, in milliseconds: a shorter run cannot have lost its lock. */
const SHORTEST_LOCK_MS = 1_000;

/**
 * How many workers died on a job of one queue. BullMQ counts a job as stalled whenever its lock ran out: also where the worker lives and had
 * only lost the queue for a while. Such a worker says so as soon as the queue is there again: a line in the log of the job, which
 * goes with the job, names the count that it had taken the job at, and the next one was none that died.
 */
export class CrashTracker {
  private readonly held = new Map<string, Job>();
  private readonly outlivers = new WeakSet<Job>();

  constructor(private readonly queue: Queue) {}

  /** Notices where a worker of this process has lost a lock. */
  watch(worker: { on(event: 'lockRenewalFailed', listener: (ids: string[]) => void): unknown }): void {
    worker.on('lockRenewalFailed', (ids) => ids.forEach((id) => this.outlived(this.held.get(id))));
  }

  /** What a worker of this process does with a job. */
  async during(job: Job, work: () => Promise<void>): Promise<void> {
    const id = job.id!;
    // It came back while it was still worked on here.
    this.outlived(this.held.get(id));
    this.held.set(id, job);
    const started = performance.now();
    try {
      await work();
    } finally {
      if (this.held.get(id) === job) this.held.delete(id);
      // A process that was frozen may end its work before it asks for its locks again.
      if (performance.now() - started >= SHORTEST_LOCK_MS && !this.outlivers.has(job)) {
        void this.note(job, ({ stalledCounter }) => stalledCounter > job.stalledCounter);
      }
    }
  }

  /** Whoever had taken the job has lost it, and lives. */
  outlived(job: Job | undefined): void {
    if (job === undefined || this.outlivers.has(job)) return;
    this.outlivers.add(job);
    void this.note(job, () => true);
  }

  /**
   * Those that died on it. Before it comes to as many as settle an attempt, the others get `waitMs` to say that they live.
   * @throws StowageError unavailable QUEUE_UNAVAILABLE
   */
  async on(job: Job, waitMs: number, signal?: AbortSignal): Promise<number> {
    if (job.stalledCounter < CRASHES_PER_ATTEMPT) return job.stalledCounter;
    const deaths = await this.count(job);
    if (deaths < CRASHES_PER_ATTEMPT) return deaths;
    await delay(waitMs, undefined, { signal });
    // Lost while it waited, the job is for whoever has it now.
    if (this.outlivers.has(job)) throw queueUnavailable();
    return this.count(job);
  }

  private async count(job: Job): Promise<number> {
    try {
      if (job.stalledCounter >= MOST_STALLS) return job.stalledCounter;
      const { logs } = await this.queue.getJobLogs(job.id!);
      const taken = logs.filter((line) => /^\d+$/.test(line) && Number(line) < job.stalledCounter);
      return job.stalledCounter - new Set(taken).size;
    } catch (error) {
      throw queueUnavailable(error);
    }
  }

  /** @param isLost tells by the queue's copy of the job whether the lock was lost */
  private async note({ id = '', stalledCounter }: Job, isLost: (now: Job) => boolean): Promise<void> {
    for (; ; await delay(LONGEST_RETRY_MS, undefined, { ref: false })) {
      try {
        const now = await this.queue.getJob(id);
        // What is done with and gone has no log.
        if (now !== undefined && isLost(now)) await this.queue.addJobLog(id, String(stalledCounter));
        return;
      } catch {
        // Not there yet.
      }
    }
  }
}

const queueUnavailable = (cause?: unknown) =>
  unavailable('QUEUE_UNAVAILABLE', 'The work queue is not available. Try again later.', cause);
