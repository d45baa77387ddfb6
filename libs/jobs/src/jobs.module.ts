import { BullModule } from '@nestjs/bullmq';
import { type DynamicModule, Global, Module } from '@nestjs/common';
import { createPostgresBackend, setDefaultBackendFactory } from 'bullmq';
import { DeadLetters } from './dead-letters.service.js';
import { Jobs } from './jobs.service.js';
import { JOBS_OPTIONS, type JobsOptions } from './jobs.options.js';
import { QueueSigns } from './queue-signs.js';
import { PROCESS_QUEUE, SCHEMA } from './queues.js';

const CONNECT_TIMEOUT_MS = 5_000;
const STATEMENT_TIMEOUT_MS = 10_000;

/** BullMQ, on PostgreSQL unless a Redis is named. Imported once by an app. Needs `MetricsModule` and `HealthModule`. */
@Global()
@Module({})
export class JobsModule {
  static forRoot(options: JobsOptions): DynamicModule {
    // @nestjs/bullmq has no option for the backend; the factory is BullMQ's own, for the whole process.
    if (options.redisUrl === undefined) setDefaultBackendFactory(createPostgresBackend);
    const connection =
      options.redisUrl === undefined
        ? {
            connectionString: options.databaseUrl,
            schema: SCHEMA,
            max: options.poolSize ?? 4,
            connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
            statement_timeout: STATEMENT_TIMEOUT_MS,
            // Also against a peer that is silent, whose connection would be held for ever.
            query_timeout: STATEMENT_TIMEOUT_MS + 5_000,
            keepAlive: true,
          }
        : { url: options.redisUrl, maxRetriesPerRequest: null, connectTimeout: CONNECT_TIMEOUT_MS };
    return {
      module: JobsModule,
      imports: [BullModule.forRoot({ connection }), BullModule.registerQueue({ name: PROCESS_QUEUE })],
      providers: [{ provide: JOBS_OPTIONS, useValue: options }, Jobs, DeadLetters, QueueSigns],
      exports: [Jobs, DeadLetters, BullModule],
    };
  }
}
