import { withinTime } from '../within-time.js';

/** Time for the queue's server to come back while workers finish their jobs during a shutdown. */
export const CLOSE_GRACE_MS = 2_000;

/** The answer, or undefined if it takes longer than the grace period. */
export const withinGrace = <T>(answer: Promise<T>): Promise<T | undefined> =>
  withinTime(answer, CLOSE_GRACE_MS, () => undefined);
