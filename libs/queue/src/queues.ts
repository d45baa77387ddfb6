import { unavailable } from '#libs/domain';

/** PostgreSQL schema of BullMQ's tables, outside the schemas that Prisma migrates. */
export const SCHEMA = 'bullmq';

/** Jobs of this queue carry an `AssetReceived`. */
export const PROCESS_QUEUE = 'process-asset';

/** Queue for files that need a reader, also with an `AssetReceived`: these jobs take seconds, others milliseconds. */
export const INSPECT_QUEUE = 'inspect-asset';

/** Jobs of this queue carry a {@link TaskJob}. */
export const TASK_QUEUE = 'run-task';

/** A run of a task that a worker is to begin or continue. */
export interface TaskJob {
  readonly runId: string;
}

/** The error of a queue whose server does not answer. */
export const queueUnavailable = (cause?: unknown) =>
  unavailable('QUEUE_UNAVAILABLE', 'The work queue is not available. Try again later.', cause);
