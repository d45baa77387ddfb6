import type { WorkerOptions } from 'bullmq';

export interface WorkerLimits {
  /** Jobs that one worker works on at a time. */
  readonly concurrency: number;
  /** A worker that died is noticed after this time; one that lives renews its locks at half of it. */
  readonly lockSeconds: number;
}

/** Workers that died on one job, at which it is no more worked on but settled. */
export const CRASHES_PER_ATTEMPT = 3;

/**
 * Locks that ran out on one job, whatever the workers say that held them: a job that takes so many of them has something about it.
 * BullMQ's own limit, at which it would throw the job away, is out of reach.
 */
export const MOST_STALLS = 10 * CRASHES_PER_ATTEMPT;
const OUT_OF_REACH = 1_000_000;

/** The longest that anything of a queue waits before it asks again for a server that is gone. */
export const LONGEST_RETRY_MS = 1_000;

/** What every worker of ours is made with; it is to be run by whoever made it. */
export const workerOptions = ({ concurrency, lockSeconds }: WorkerLimits) =>
  ({
    autorun: false,
    // After a connection that was refused; the default is a quarter of a minute.
    runRetryDelay: LONGEST_RETRY_MS,
    concurrency,
    lockDuration: lockSeconds * 1000,
    // PostgreSQL takes whole milliseconds alone, and the check would fail each time.
    stalledInterval: Math.ceil((lockSeconds * 1000) / 3),
    maxStalledCount: OUT_OF_REACH,
  }) satisfies Partial<WorkerOptions>;
