import type { DynamicModule } from '@nestjs/common';
import { LoggerModule, PinoLogger } from 'nestjs-pino';
import { EventConsumersModule } from '#libs/events';
import { LifecycleModule } from '#libs/lifecycle';
import { TaskJobsModule } from '#libs/lifecycle/jobs';
import { ProcessingJobsModule } from '#libs/processing/jobs';
import { loggerParams } from '#libs/runtime';
import { ScannerModule, scannerOf } from '#libs/scanner';
import { GcsObjectStore, GcsUploadSessions, PubSubObjectEvents } from '#libs/storage/gcs';
import { UploadJobsModule } from '#libs/upload/jobs';
import { type Feature, modulesOf } from '../feature.js';
import { foundation } from '../foundation.js';
import type { WorkerConfiguration } from './config.js';

/** The modules of the worker. @throws Error with a message of one sentence if the scanner cannot be used */
export async function workerModules(
  config: WorkerConfiguration,
  features: readonly Feature[],
): Promise<DynamicModule['imports']> {
  const { incomingBucket } = config.assets;
  const params = loggerParams('worker', config.logging.level);
  const storage = {
    store: new GcsObjectStore(config.gcs),
    sessions: new GcsUploadSessions(config.gcs),
    probedBucket: incomingBucket,
    events: new PubSubObjectEvents({
      ...config.pubSub,
      projectId: config.gcs.projectId,
      incomingBucket,
      logger: new PinoLogger(params),
    }),
  };
  return [
    LoggerModule.forRoot(params),
    ...foundation(config, storage, features),
    ScannerModule.forRoot(await scannerOf(config.scanner)),
    LifecycleModule,
    TaskJobsModule,
    EventConsumersModule,
    UploadJobsModule,
    ProcessingJobsModule,
    ...(await modulesOf(features, 'worker')),
  ];
}
