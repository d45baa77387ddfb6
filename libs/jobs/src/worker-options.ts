import type { WorkerOptions } from 'bullmq';

export interface WorkerLimits {
  /** Jobs that one worker works on at a time. */
  readonly concurrency: number;
  /** A worker that died is noticed after this time; one that lives renews its locks at half of it. */
  readonly lockSeconds: number;
}

/** Workers that died on one job, at which it is no more worked on but settled. */
export const CRASHES_PER_ATTEMPT = 3;

/** BullMQ's own limit of what it takes for deaths, outages among them: never reached by what is settled before. */
const MOST_STALLS = 1_000_000;

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
    maxStalledCount: MOST_STALLS,
  }) satisfies Partial<WorkerOptions>;
