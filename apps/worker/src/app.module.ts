import path from 'node:path';
import { type DynamicModule, Module } from '@nestjs/common';
import { LoggerModule, PinoLogger } from 'nestjs-pino';
import { AssetsModule } from '#libs/assets';
import { ContentModule } from '#libs/content';
import { DatabaseModule } from '#libs/database';
import { parseProfiles } from '#libs/domain';
import { findProgram, InspectionModule } from '#libs/inspection';
import { QueueModule } from '#libs/queue';
import { LifecycleModule } from '#libs/lifecycle';
import { ProcessingJobsModule } from '#libs/processing/jobs';
import { QuotaModule } from '#libs/quota';
import { HealthModule, loggerParams, MetricsModule, proxyOf } from '#libs/runtime';
import { type Scanner, ScannerModule } from '#libs/scanner';
import { StorageModule } from '#libs/storage';
import { GcsObjectStore, GcsUploadSessions, PubSubObjectEvents } from '#libs/storage/gcs';
import { UploadJobsModule } from '#libs/upload/jobs';
import type { WorkerEnvironment } from './config.js';

/** Composition of the worker: adapters and modules for event subscriber, queue processors and scheduled tasks. */
@Module({})
export class AppModule {
  static forRoot(config: WorkerEnvironment, scanner: Scanner): DynamicModule {
    const gcs = {
      projectId: config.GOOGLE_CLOUD_PROJECT,
      endpoint: config.GCS_API_ENDPOINT,
      proxy: proxyOf(config),
    };
    const params = loggerParams('worker', config.LOG_LEVEL);
    return {
      module: AppModule,
      imports: [
        LoggerModule.forRoot(params),
        MetricsModule,
        HealthModule.forRoot(),
        DatabaseModule.forRoot({
          url: config.DATABASE_URL,
          poolSize: config.DATABASE_POOL,
          clockLimitSeconds: config.CLOCK_OFFSET_LIMIT_SECONDS,
        }),
        QueueModule.forRoot({ databaseUrl: config.DATABASE_URL, redisUrl: config.REDIS_URL }),
        StorageModule.forRoot({
          store: new GcsObjectStore(gcs),
          sessions: new GcsUploadSessions(gcs),
          probedBucket: config.INCOMING_BUCKET,
          events: new PubSubObjectEvents({
            projectId: config.GOOGLE_CLOUD_PROJECT,
            subscription: config.PUBSUB_SUBSCRIPTION,
            deadLetterSubscription: config.PUBSUB_DEAD_LETTER_SUBSCRIPTION,
            emulator: config.PUBSUB_EMULATOR_HOST,
            incomingBucket: config.INCOMING_BUCKET,
            logger: new PinoLogger(params),
          }),
        }),
        QuotaModule.forRoot({ limitBytes: config.QUOTA_BYTES, limitAssets: config.QUOTA_ASSETS }),
        ContentModule.forRoot({ contentBucket: config.CONTENT_BUCKET, dedupeScope: config.DEDUPE_SCOPE }),
        AssetsModule.forRoot({
          incomingBucket: config.INCOMING_BUCKET,
          allowedTypes: config.ALLOWED_TYPES,
          uploadSessionKeys: config.UPLOAD_SESSION_KEYS,
        }),
        InspectionModule.forRoot({
          processes: config.INSPECT_PROCESSES,
          seconds: config.INSPECT_SECONDS,
          memoryBytes: config.INSPECT_MEMORY,
          maxPixels: config.MAX_PIXELS,
          maxFrames: config.MAX_FRAMES,
          spoolFolder: path.resolve(config.SPOOL_DIR),
          ffprobe: findProgram('ffprobe'),
          scannableBytes: config.CLAMD_MAX_BYTES,
        }),
        ScannerModule.forRoot(scanner),
        // Must precede the modules with jobs. Nest shuts down in reverse order, and workers have to stop before the
        // sweeps end.
        LifecycleModule.forRoot({ rescanBytesPerSecond: config.RESCAN_BYTES }),
        UploadJobsModule,
        ProcessingJobsModule.forRoot({
          concurrency: config.WORKER_CONCURRENCY,
          // One extra inspection reads its file while all processes are busy.
          inspections: config.INSPECT_PROCESSES + 1,
          lockSeconds: config.JOB_LOCK_SECONDS,
          quarantineBucket: config.QUARANTINE_BUCKET,
          spoolFolder: config.SPOOL_DIR,
          spoolBytes: config.SPOOL_BYTES,
          admitUnscannable: config.ADMIT_UNSCANNABLE,
          profiles: parseProfiles(config.VARIANT_PROFILES),
        }),
      ],
    };
  }
}
