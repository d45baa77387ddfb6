import { BullModule } from '@nestjs/bullmq';
import { type DynamicModule, Global, Module } from '@nestjs/common';
import { createPostgresBackend, setDefaultBackendFactory } from 'bullmq';
import { Jobs } from './jobs.service.js';
import { PROCESS_QUEUE, SCHEMA } from './queues.js';

export interface JobsOptions {
  readonly databaseUrl: string;
  /** Redis instead of PostgreSQL. */
  readonly redisUrl?: string;
  /** Connections that each queue and each worker may hold; default 4. */
  readonly poolSize?: number;
}

const CONNECT_TIMEOUT_MS = 5_000;

/** BullMQ, on PostgreSQL unless a Redis is named. Imported once by an app. */
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
            keepAlive: true,
          }
        : { url: options.redisUrl, maxRetriesPerRequest: null, connectTimeout: CONNECT_TIMEOUT_MS };
    return {
      module: JobsModule,
      imports: [BullModule.forRoot({ connection }), BullModule.registerQueue({ name: PROCESS_QUEUE })],
      providers: [Jobs],
      exports: [Jobs, BullModule],
    };
  }
}
