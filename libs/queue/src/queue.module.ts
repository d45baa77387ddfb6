import { BullModule } from '@nestjs/bullmq';
import { Module } from '@nestjs/common';
import { setDefaultBackendFactory } from 'bullmq';
import { DatabaseConfig } from '#libs/database';
import { ContributionsModule } from '#libs/runtime';
import { queueBackend } from './bullmq-patches/index.js';
import { connectionOf } from './connection.js';
import { DeadLetterRetentionService } from './dead-letter-retention.service.js';
import { DeadLettersService } from './dead-letters.service.js';
import { QueueService } from './queue.service.js';
import { QueueConfig } from './queue.config.js';
import { QueueMetrics } from './queue-metrics.js';
import { INSPECT_QUEUE, PROCESS_QUEUE, TASK_QUEUE } from './queues.js';

/** Dead letters, without the queues. Needs `DatabaseModule`. */
@Module({ imports: [ContributionsModule], providers: [DeadLettersService], exports: [DeadLettersService] })
export class DeadLettersModule {}

/** BullMQ on PostgreSQL, or on Redis if it is configured. Needs `DatabaseModule` and `MetricsModule`. */
@Module({
  imports: [
    BullModule.forRootAsync({
      inject: [DatabaseConfig, QueueConfig],
      useFactory: (database: DatabaseConfig, queue: QueueConfig) => {
        // Queues and workers are created after this configuration, and take the backend from this default.
        setDefaultBackendFactory(queueBackend);
        return { connection: connectionOf(database, queue) };
      },
    }),
    BullModule.registerQueue({ name: PROCESS_QUEUE }, { name: INSPECT_QUEUE }, { name: TASK_QUEUE }),
    DeadLettersModule,
  ],
  providers: [QueueService, QueueMetrics],
  exports: [QueueService, DeadLettersModule, BullModule],
})
export class QueueModule {}

/** The scheduled tasks of dead letters, for the worker. Needs `DatabaseModule`. */
@Module({ providers: [DeadLetterRetentionService] })
export class QueueTasksModule {}
