import type { WorkerOptions } from 'bullmq';

/** Limits of one worker. */
export interface WorkerLimits {
  /** Maximum number of jobs that one worker runs at a time. */
  readonly concurrency: number;
  /**
   * Time in seconds after which a crashed worker loses its jobs. A running worker renews its locks at half of this time.
   */
  readonly lockSeconds: number;
}

/** Number of worker crashes on one job after which the job is not run again and its attempt fails. */
export const CRASHES_PER_ATTEMPT = 3;

/**
 * Number of expired locks of one job at which all of them count as crashes, whatever the workers report: the job is a
 * likely cause. BullMQ's own limit, at which it would delete the job, is set out of reach.
 */
export const MAX_STALLS = 10 * CRASHES_PER_ATTEMPT;
const OUT_OF_REACH = 1_000_000;

/** Longest delay between attempts to reach the queue's server, in milliseconds. */
export const MAX_RETRY_MS = 1_000;

/** BullMQ options of every worker. With `autorun: false`, the caller has to call `run()`. */
export const workerOptions = ({ concurrency, lockSeconds }: WorkerLimits) =>
  ({
    autorun: false,
    // Delay after a refused connection; BullMQ's default is 15 s.
    runRetryDelay: MAX_RETRY_MS,
    concurrency,
    lockDuration: lockSeconds * 1000,
    // PostgreSQL accepts whole milliseconds only; a fraction would make every stalled check fail.
    stalledInterval: Math.ceil((lockSeconds * 1000) / 3),
    maxStalledCount: OUT_OF_REACH,
  }) satisfies Partial<WorkerOptions>;
