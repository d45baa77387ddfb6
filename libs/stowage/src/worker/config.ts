import { IsOptional, IsString } from 'class-validator';
import { AssetsConfig } from '#libs/assets';
import { ContentConfig, ContentStoreConfig } from '#libs/content';
import { DatabaseConfig } from '#libs/database';
import { EventsConfig } from '#libs/events';
import { InspectionConfig } from '#libs/inspection';
import { TasksConfig } from '#libs/lifecycle';
import { ProcessingConfig } from '#libs/processing';
import { QueueConfig } from '#libs/queue';
import { QuotaConfig } from '#libs/quota';
import { type Configuration, LoggingConfig, readConfiguration, Variable, Whole, Words } from '#libs/runtime';
import { ScannerConfig } from '#libs/scanner';
import { GcsConfig, PubSubConfig } from '#libs/storage/gcs';
import { configurationOf, type Feature } from '../feature.js';
import { profilesOf } from '../feature-content.js';

/** The HTTP server for health checks and metrics. */
class MonitoringConfig {
  /** Health checks and metrics are not served unless the port is set. */
  @Variable('WORKER_PORT')
  @IsOptional()
  @Whole(1, 65_535)
  readonly port?: number;

  @Variable('HOST')
  @IsString()
  readonly host: string = '0.0.0.0';

  /**
   * Accepted values of the Host header, with port. If set, requests from web pages are rejected; if not, every request
   * is served. The embedded stack sets it.
   */
  @Variable('WORKER_ALLOWED_HOSTS')
  @IsOptional()
  @Words()
  readonly allowedHosts?: readonly string[];
}

/** The configuration of the worker. docs/operating.md documents every variable. */
export const WORKER_CONFIGURATION = {
  logging: LoggingConfig,
  database: DatabaseConfig,
  queue: QueueConfig,
  gcs: GcsConfig,
  pubSub: PubSubConfig,
  quota: QuotaConfig,
  content: ContentConfig,
  contentStore: ContentStoreConfig,
  assets: AssetsConfig,
  inspection: InspectionConfig,
  scanner: ScannerConfig,
  processing: ProcessingConfig,
  events: EventsConfig,
  tasks: TasksConfig,
  monitoring: MonitoringConfig,
};

export type WorkerConfiguration = Configuration<typeof WORKER_CONFIGURATION>;

/** Reads the configuration of the worker and of features. @throws Error with a message of one sentence */
export function readWorkerConfig(
  env: NodeJS.ProcessEnv,
  features: readonly Feature[] = [],
): WorkerConfiguration {
  const config = readConfiguration({ ...configurationOf(features), ...WORKER_CONFIGURATION }, env);
  config.inspection.scannableBytes = config.scanner.maxBytes;
  config.contentStore.incomingBucket = config.assets.incomingBucket;
  config.contentStore.profiles = profilesOf(config.contentStore.profiles, features);
  return config;
}
