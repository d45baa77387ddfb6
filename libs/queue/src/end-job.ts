import { DelayedError, type Job, UnrecoverableError } from 'bullmq';
import { ERROR_KINDS, kindOf } from '#libs/domain';

const MIN_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 30_000;

/** Exponential backoff in milliseconds, with jitter between half and all of the delay. `attempt` counts from 1. */
export const backoffMs = (attempt: number, random = Math.random) =>
  Math.round(Math.min(MIN_BACKOFF_MS * 2 ** (attempt - 1), MAX_BACKOFF_MS) * (0.5 + random() / 2));

/**
 * Ends a job after an error, by the kind of the error: returns if the job is complete, otherwise throws the error that
 * makes BullMQ delay the job (an unavailable dependency, which uses up no attempt), retry it or fail it.
 * @param token lock token of the job
 * @param onLost called if the job could not be delayed, because the queue is not available either
 * @throws DelayedError, UnrecoverableError, or `error` itself
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
      // If the queue is down too, the job stays active until its lock expires. Any error other than DelayedError would
      // fail the job, and with `removeOnFail` delete it, as soon as the queue is available again.
      await job.moveToDelayed(Date.now() + backoffMs(job.attemptsStarted), token).catch(() => onLost(job));
      throw new DelayedError();
    case 'fail':
      throw new UnrecoverableError(error instanceof Error ? error.message : String(error));
    case 'retry':
      throw error;
  }
}
