/** Where BullMQ keeps its tables; Prisma does not look there. */
export const SCHEMA = 'bullmq';

/** Jobs of this queue carry an `AssetReceived`. */
export const PROCESS_QUEUE = 'process-asset';

/** Jobs of the same kind whose file needs a reader: they take seconds, where others take milliseconds. */
export const INSPECT_QUEUE = 'inspect-asset';
