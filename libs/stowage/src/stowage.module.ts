import { type DynamicModule, Module } from '@nestjs/common';
import { LoggerModule, PinoLogger } from 'nestjs-pino';
import { DatabaseModule } from '#libs/database';
import { EventConsumersModule } from '#libs/events';
import { LifecycleModule } from '#libs/lifecycle';
import { ProcessingJobsModule } from '#libs/processing/jobs';
import {
  ConfigurationModule,
  HealthModule,
  type HealthOptions,
  loggerParams,
  MetricsModule,
} from '#libs/runtime';
import { ScannerModule, scannerOf } from '#libs/scanner';
import { type StorageAdapters, StorageModule } from '#libs/storage';
import { GcsObjectStore, GcsUploadSessions, PubSubObjectEvents } from '#libs/storage/gcs';
import { UploadJobsModule } from '#libs/upload/jobs';
import type { ApiConfiguration } from './api/config.js';
import { ApiGraphQLModule } from './api/graphql.module.js';
import { storageOf } from './api/storage.js';
import { type Feature, verifyCompatibility } from './feature.js';
import { extensionsOf } from './feature-content.js';
import type { WorkerConfiguration } from './worker/config.js';

/** The composition of a process: configuration, adapters, the modules of the service and those of its features. */
@Module({})
export class StowageModule {
  /** @throws Error with a message of one sentence if a feature needs another release, or there is no key to sign URLs */
  static forApi(config: ApiConfiguration, features: readonly Feature[] = []): DynamicModule {
    verifyCompatibility(features);
    const params = loggerParams('api', config.logging.level);
    return {
      module: StowageModule,
      imports: [
        LoggerModule.forRoot(params),
        // Clients can request and complete uploads without Pub/Sub.
        ...foundation(config, storageOf(config, params), features, { optional: ['pubsub'] }),
        ApiGraphQLModule.forFeatures(features),
      ],
    };
  }

  /** @throws Error with a message of one sentence if a feature needs another release, or the scanner cannot be used */
  static async forWorker(
    config: WorkerConfiguration,
    features: readonly Feature[] = [],
  ): Promise<DynamicModule> {
    verifyCompatibility(features);
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
    return {
      module: StowageModule,
      imports: [
        LoggerModule.forRoot(params),
        ...foundation(config, storage, features),
        ScannerModule.forRoot(await scannerOf(config.scanner)),
        // Must precede the modules with jobs. Nest shuts down in reverse order, and workers have to stop before the
        // sweeps end.
        LifecycleModule,
        EventConsumersModule,
        UploadJobsModule,
        ProcessingJobsModule,
        ...features.flatMap(({ worker }) => worker?.imports ?? []),
      ],
    };
  }
}

/**
 * The modules that each process needs besides logging.
 * @throws Error with a message of one sentence if a reader or check of a feature is invalid
 */
export const foundation = (
  config: Readonly<Record<string, object>>,
  storage: StorageAdapters,
  features: readonly Feature[] = [],
  health?: HealthOptions,
): DynamicModule['imports'] & {} => [
  ConfigurationModule.forRoot({ ...config, extensions: extensionsOf(features) }),
  MetricsModule,
  HealthModule.forRoot(health),
  DatabaseModule,
  StorageModule.forRoot(storage),
];
