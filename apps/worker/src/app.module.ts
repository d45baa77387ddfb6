import { type DynamicModule, Module } from '@nestjs/common';
import { LoggerModule, PinoLogger } from 'nestjs-pino';
import { DatabaseModule } from '#libs/database';
import { LifecycleModule } from '#libs/lifecycle';
import { ProcessingJobsModule } from '#libs/processing/jobs';
import { ConfigurationModule, HealthModule, loggerParams, MetricsModule } from '#libs/runtime';
import { type Scanner, ScannerModule } from '#libs/scanner';
import { StorageModule } from '#libs/storage';
import { GcsObjectStore, GcsUploadSessions, PubSubObjectEvents } from '#libs/storage/gcs';
import { UploadJobsModule } from '#libs/upload/jobs';
import type { WorkerConfiguration } from './config.js';

/** Composition of the worker: adapters and modules for event subscriber, queue processors and scheduled tasks. */
@Module({})
export class AppModule {
  static forRoot(config: WorkerConfiguration, scanner: Scanner): DynamicModule {
    const { incomingBucket } = config.assets;
    const params = loggerParams('worker', config.logging.level);
    return {
      module: AppModule,
      imports: [
        ConfigurationModule.forRoot(config),
        LoggerModule.forRoot(params),
        MetricsModule,
        HealthModule.forRoot(),
        DatabaseModule,
        StorageModule.forRoot({
          store: new GcsObjectStore(config.gcs),
          sessions: new GcsUploadSessions(config.gcs),
          probedBucket: incomingBucket,
          events: new PubSubObjectEvents({
            ...config.pubSub,
            projectId: config.gcs.projectId,
            incomingBucket,
            logger: new PinoLogger(params),
          }),
        }),
        ScannerModule.forRoot(scanner),
        // Must precede the modules with jobs. Nest shuts down in reverse order, and workers have to stop before the
        // sweeps end.
        LifecycleModule,
        UploadJobsModule,
        ProcessingJobsModule,
      ],
    };
  }
}
