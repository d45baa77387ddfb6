import { setTimeout as delay } from 'node:timers/promises';
import type { Job, Queue } from 'bullmq';
import { queueUnavailable } from './queues.js';
import { CRASHES_PER_ATTEMPT, MAX_RETRY_MS, MAX_STALLS } from './worker-options.js';

/** The shortest configurable lock, in milliseconds: a shorter run cannot have lost its lock. */
const SHORTEST_LOCK_MS = 1_000;

/**
 * Counts the workers that crashed on a job of one queue. BullMQ counts a job as stalled whenever its lock expired, even
 * if the worker is alive and only lost its connection to the queue. A worker that is alive therefore reports the lost
 * lock as soon as the queue is available again: it writes the stalled counter with which it took the job to the job's
 * log, and the stall that followed is not counted as a crash. The log is deleted with the job.
 *
 * @example
 * const crashes = new CrashTracker(queue);
 * crashes.watch(worker);
 * await crashes.run(job, () => work(job));
 */
export class CrashTracker {
  private readonly held = new Map<string, Job>();
  private readonly lostLocks = new WeakSet<Job>();

  constructor(private readonly queue: Queue) {}

  /** Reports the locks that a worker of this process fails to renew. */
  watch(worker: { on(event: 'lockRenewalFailed', listener: (ids: string[]) => void): unknown }): void {
    worker.on('lockRenewalFailed', (ids) => ids.forEach((id) => this.reportLostLock(this.held.get(id))));
  }

  /** Runs the work of a job in this process. */
  async run(job: Job, work: () => Promise<void>): Promise<void> {
    const id = job.id!;
    // The job can return to this process while its first run still works on it.
    this.reportLostLock(this.held.get(id));
    this.held.set(id, job);
    const started = performance.now();
    try {
      await work();
    } finally {
      if (this.held.get(id) === job) this.held.delete(id);
      // A process that was suspended may finish its work before it tries to renew its locks.
      if (performance.now() - started >= SHORTEST_LOCK_MS && !this.lostLocks.has(job)) {
        void this.report(job, ({ stalledCounter }) => stalledCounter > job.stalledCounter);
      }
    }
  }

  /** Reports that the job's lock was lost but the worker is alive. */
  reportLostLock(job: Job | undefined): void {
    if (job === undefined || this.lostLocks.has(job)) return;
    this.lostLocks.add(job);
    void this.report(job, () => true);
  }

  /**
   * The number of workers that crashed on the job. If it reaches the limit for an attempt, the method waits `waitMs`
   * for reports of workers that are alive and counts again.
   * @param waitMs milliseconds
   * @throws StowageError unavailable QUEUE_UNAVAILABLE, also if the job's own lock was lost during the wait
   */
  async countCrashes(job: Job, waitMs: number, signal?: AbortSignal): Promise<number> {
    if (job.stalledCounter < CRASHES_PER_ATTEMPT) return job.stalledCounter;
    const crashes = await this.count(job);
    if (crashes < CRASHES_PER_ATTEMPT) return crashes;
    await delay(waitMs, undefined, { signal });
    // Another worker has the job now.
    if (this.lostLocks.has(job)) throw queueUnavailable();
    return this.count(job);
  }

  private async count(job: Job): Promise<number> {
    try {
      if (job.stalledCounter >= MAX_STALLS) return job.stalledCounter;
      const { logs } = await this.queue.getJobLogs(job.id!);
      const reported = logs.filter((line) => /^\d+$/.test(line) && Number(line) < job.stalledCounter);
      return job.stalledCounter - new Set(reported).size;
    } catch (error) {
      throw queueUnavailable(error);
    }
  }

  /** @param isLost decides from the queue's copy of the job whether the lock was lost */
  private async report({ id = '', stalledCounter }: Job, isLost: (now: Job) => boolean): Promise<void> {
    for (; ; await delay(MAX_RETRY_MS, undefined, { ref: false })) {
      try {
        const now = await this.queue.getJob(id);
        // A finished job is deleted, and its log with it.
        if (now !== undefined && isLost(now)) await this.queue.addJobLog(id, String(stalledCounter));
        return;
      } catch {
        // The queue is not available yet.
      }
    }
  }
}
