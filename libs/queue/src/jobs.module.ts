import { BullModule } from '@nestjs/bullmq';
import { type DynamicModule, Global, Module } from '@nestjs/common';
import { setDefaultBackendFactory } from 'bullmq';
import { connectionOf } from './connection.js';
import { DeadLetters } from './dead-letters.service.js';
import { Jobs } from './jobs.service.js';
import { JOBS_OPTIONS, type JobsOptions } from './jobs.options.js';
import { QueueSigns } from './queue-signs.js';
import { queueBackend } from './queue-backend.js';
import { INSPECT_QUEUE, PROCESS_QUEUE } from './queues.js';

/** BullMQ, on PostgreSQL unless a Redis is named. Imported once by an app. Needs `MetricsModule` and `HealthModule`. */
@Global()
@Module({})
export class JobsModule {
  static forRoot(options: JobsOptions): DynamicModule {
    setDefaultBackendFactory(queueBackend);
    const connection = connectionOf(options);
    return {
      module: JobsModule,
      imports: [
        BullModule.forRoot({ connection }),
        BullModule.registerQueue({ name: PROCESS_QUEUE }, { name: INSPECT_QUEUE }),
      ],
      providers: [{ provide: JOBS_OPTIONS, useValue: options }, Jobs, DeadLetters, QueueSigns],
      exports: [Jobs, DeadLetters, BullModule],
    };
  }
}
