import { BullModule } from '@nestjs/bullmq';
import { type DynamicModule, Global, Module } from '@nestjs/common';
import { setDefaultBackendFactory } from 'bullmq';
import { connectionOf } from './connection.ts';
import { DeadLettersService } from './dead-letters.service.ts';
import { QueueService } from './queue.service.ts';
import { QUEUE_OPTIONS, type QueueOptions } from './queue.options.ts';
import { QueueMetrics } from './queue-metrics.ts';
import { queueBackend } from './queue-backend.ts';
import { INSPECT_QUEUE, PROCESS_QUEUE } from './queues.ts';

/** BullMQ, on PostgreSQL unless a Redis is named. Imported once by an app. Needs `MetricsModule` and `HealthModule`. */
@Global()
@Module({})
export class QueueModule {
  static forRoot(options: QueueOptions): DynamicModule {
    setDefaultBackendFactory(queueBackend);
    const connection = connectionOf(options);
    return {
      module: QueueModule,
      imports: [
        BullModule.forRoot({ connection }),
        BullModule.registerQueue({ name: PROCESS_QUEUE }, { name: INSPECT_QUEUE }),
      ],
      providers: [
        { provide: QUEUE_OPTIONS, useValue: options },
        QueueService,
        DeadLettersService,
        QueueMetrics,
      ],
      exports: [QueueService, DeadLettersService, BullModule],
    };
  }
}
