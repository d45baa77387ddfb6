import { AssetsConfig } from '#libs/assets';
import { SubscriptionRateConfig } from '#libs/assets/graphql';
import { ContentConfig } from '#libs/content';
import { DatabaseConfig } from '#libs/database';
import { DeliveryConfig } from '#libs/delivery';
import { IdentityConfig } from '#libs/identity';
import { QueueConfig } from '#libs/queue';
import { QuotaConfig } from '#libs/quota';
import { type Configuration, LoggingConfig, readConfiguration } from '#libs/runtime';
import { GcsConfig, GcsSigningConfig } from '#libs/storage/gcs';
import { UploadConfig } from '#libs/upload';
import { configurationOf, type Feature } from '../feature.js';
import { RateLimitConfig } from './callers/rate-limit.config.js';
import { HttpConfig } from './http.config.js';
import { PlaygroundConfig } from './playground/playground.js';
import { PubSubHealthConfig } from './storage.js';
import { SubscriptionsConfig } from './subscriptions/owner-sockets.js';

/** The configuration of the API. docs/operating.md documents every variable. */
export const API_CONFIGURATION = {
  logging: LoggingConfig,
  database: DatabaseConfig,
  queue: QueueConfig,
  gcs: GcsConfig,
  gcsSigning: GcsSigningConfig,
  pubSubHealth: PubSubHealthConfig,
  identity: IdentityConfig,
  quota: QuotaConfig,
  content: ContentConfig,
  assets: AssetsConfig,
  upload: UploadConfig,
  delivery: DeliveryConfig,
  http: HttpConfig,
  playground: PlaygroundConfig,
  rateLimit: RateLimitConfig,
  subscriptions: SubscriptionsConfig,
  subscriptionRate: SubscriptionRateConfig,
};

export type ApiConfiguration = Configuration<typeof API_CONFIGURATION>;

/** Connections of each queue. The API only adds jobs, which takes fewer connections than running them. */
const QUEUE_POOL_SIZE = 2;

/** Reads the configuration of the API and of features. @throws Error with a message of one sentence */
export function readApiConfig(env: NodeJS.ProcessEnv, features: readonly Feature[] = []): ApiConfiguration {
  const config = readConfiguration({ ...configurationOf(features), ...API_CONFIGURATION }, env);
  config.queue.poolSize = QUEUE_POOL_SIZE;
  config.upload.origins = config.http.corsOrigins;
  return config;
}
