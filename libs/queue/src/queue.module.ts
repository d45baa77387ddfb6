import { BullModule } from '@nestjs/bullmq';
import { type DynamicModule, Global, Module } from '@nestjs/common';
import { setDefaultBackendFactory } from 'bullmq';
import { queueBackend } from './bullmq-patches/index.js';
import { connectionOf } from './connection.js';
import { DeadLettersService } from './dead-letters.service.js';
import { QueueService } from './queue.service.js';
import { QUEUE_OPTIONS, type QueueOptions } from './queue.options.js';
import { QueueMetrics } from './queue-metrics.js';
import { INSPECT_QUEUE, PROCESS_QUEUE } from './queues.js';

/**
 * BullMQ on PostgreSQL, or on Redis if `redisUrl` is set. An app imports this module once. Needs `MetricsModule` and
 * `HealthModule`.
 */
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
