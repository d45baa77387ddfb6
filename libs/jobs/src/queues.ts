/** Where BullMQ keeps its tables; Prisma does not look there. */
export const SCHEMA = 'bullmq';

/** Jobs of this queue carry an `AssetReceived`. */
export const PROCESS_QUEUE = 'process-asset';
