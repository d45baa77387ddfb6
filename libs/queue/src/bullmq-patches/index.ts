import type { BackendFactory, IQueueBackend } from 'bullmq';
import { postgresBackend } from './postgres-backend.js';
import { redisBackend } from './redis-backend.js';

export { ListenedClient } from './postgres-backend.js';

/**
 * Creates the BullMQ backend for a connection. Registered by `setDefaultBackendFactory`: `@nestjs/bullmq` has no option
 * for it.
 */
export const queueBackend: BackendFactory<IQueueBackend> = (name, opts, kind) =>
  'connectionString' in opts.connection ? postgresBackend(name, opts, kind) : redisBackend(name, opts, kind);
