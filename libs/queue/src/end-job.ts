import { DelayedError, type Job, UnrecoverableError } from 'bullmq';
import { ERROR_KINDS, kindOf } from '#libs/domain';

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;

/** Exponential with full jitter; `turn` counts from 1. */
export const backoffMs = (turn: number, random = Math.random) =>
  Math.round(Math.min(FIRST_WAIT_MS * 2 ** (turn - 1), LONGEST_WAIT_MS) * (0.5 + random() / 2));

/**
 * The queue's edge of the error table: returns when the job is done with, else throws what makes BullMQ delay it
 * (a dependency is down: no attempt is used up) or fail it. `onLost`: it could not be delayed.
 */
export async function endJob(
  job: Job,
  token: string | undefined,
  error: unknown,
  onLost: (job: Job) => void,
): Promise<void> {
  switch (ERROR_KINDS[kindOf(error)].queue) {
    case 'done':
    case 'reject':
      return;
    case 'wait':
      // When the queue itself is down it stays as it is, and comes back when its lock has run out: any other error would
      // have it failed, and with that removed, as soon as the queue is there again.
      await job.moveToDelayed(Date.now() + backoffMs(job.attemptsStarted), token).catch(() => onLost(job));
      throw new DelayedError();
    case 'fail':
      throw new UnrecoverableError(error instanceof Error ? error.message : String(error));
    case 'retry':
      throw error;
  }
}
