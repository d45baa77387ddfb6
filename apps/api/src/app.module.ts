import { type DynamicModule, Module } from '@nestjs/common';
import { LoggerModule, type Params, PinoLogger } from 'nestjs-pino';
import { AssetsModule } from '#libs/assets';
import { ContentModule } from '#libs/content';
import { DatabaseModule } from '#libs/database';
import { DeliveryModule } from '#libs/delivery';
import { IdentityModule } from '#libs/identity';
import { QueueModule } from '#libs/queue';
import { QuotaModule } from '#libs/quota';
import { HealthModule, loggerParams, MetricsModule, proxyOf } from '#libs/runtime';
import { StorageModule } from '#libs/storage';
import {
  GcsObjectStore,
  GcsUploadSessions,
  GcsUrlSigner,
  StoredNotificationReader,
  PubSubObjectEvents,
} from '#libs/storage/gcs';
import { UploadModule } from '#libs/upload';
import { admissionOf } from './admission.js';
import { type ApiEnvironment, readSigningKey } from './config.js';
import { ApiGraphQLModule } from './graphql.module.js';
import { SubscriptionsModule } from './subscriptions/subscriptions.module.js';

/** Composition of the GraphQL server: adapters and modules. */
@Module({})
export class AppModule {
  static forRoot(config: ApiEnvironment): DynamicModule {
    const endpoint = config.GCS_API_ENDPOINT;
    const gcs = { projectId: config.GOOGLE_CLOUD_PROJECT, endpoint, proxy: proxyOf(config) };
    const params = loggerParams('api', config.LOG_LEVEL);
    return {
      module: AppModule,
      imports: [
        LoggerModule.forRoot(params),
        MetricsModule,
        // Clients can request and complete uploads without Pub/Sub.
        HealthModule.forRoot({ optional: ['pubsub'] }),
        DatabaseModule.forRoot({
          url: config.DATABASE_URL,
          poolSize: config.DATABASE_POOL,
          clockLimitSeconds: config.CLOCK_OFFSET_LIMIT_SECONDS,
        }),
        QueueModule.forRoot({ databaseUrl: config.DATABASE_URL, redisUrl: config.REDIS_URL, poolSize: 2 }),
        StorageModule.forRoot({
          store: new GcsObjectStore(gcs),
          sessions: new GcsUploadSessions({ ...gcs, publicEndpoint: config.GCS_PUBLIC_ENDPOINT }),
          signer: new GcsUrlSigner({
            endpoint: config.GCS_PUBLIC_ENDPOINT ?? endpoint,
            key: readSigningKey(config),
          }),
          eventReader: new StoredNotificationReader(config.INCOMING_BUCKET),
          events: eventsOf(config, params),
          probedBucket: config.INCOMING_BUCKET,
        }),
        IdentityModule.forRoot({
          issuer: config.JWT_ISSUER,
          audience: config.JWT_AUDIENCE,
          key:
            config.JWT_JWKS_URL === undefined
              ? { secret: config.JWT_SECRET ?? '' }
              : { jwksUrl: config.JWT_JWKS_URL },
          groupsPointer: config.JWT_GROUPS_POINTER,
          scopesPointer: config.JWT_SCOPES_POINTER,
        }),
        QuotaModule.forRoot({ limitBytes: config.QUOTA_BYTES, limitAssets: config.QUOTA_ASSETS }),
        ContentModule.forRoot({ contentBucket: config.CONTENT_BUCKET, dedupeScope: config.DEDUPE_SCOPE }),
        AssetsModule.forRoot({
          incomingBucket: config.INCOMING_BUCKET,
          allowedTypes: config.ALLOWED_TYPES,
          uploadSessionKeys: config.UPLOAD_SESSION_KEYS,
        }),
        UploadModule.forRoot({
          maxUploadBytes: config.MAX_UPLOAD_BYTES,
          urlSeconds: config.UPLOAD_URL_SECONDS,
          origins: config.CORS_ORIGINS,
        }),
        DeliveryModule.forRoot({ maxSeconds: config.DOWNLOAD_URL_MAX_SECONDS }),
        ApiGraphQLModule.forRoot(config.RATE_LIMIT_PER_MINUTE),
        SubscriptionsModule.forRoot({
          admission: admissionOf(config),
          perOwner: {
            subscriptions: config.SUBSCRIPTIONS_PER_OWNER,
            unsentBytes: config.SUBSCRIPTION_BYTES_PER_OWNER,
          },
          workPerSecond: config.SUBSCRIPTION_WORK_PER_SECOND,
        }),
      ],
    };
  }
}

/** The API receives no events. If the subscription is configured, the API reports its health. */
function eventsOf(config: ApiEnvironment, params: Params): PubSubObjectEvents | undefined {
  const { PUBSUB_SUBSCRIPTION: subscription } = config;
  if (subscription === undefined) return undefined;
  return new PubSubObjectEvents({
    projectId: config.GOOGLE_CLOUD_PROJECT,
    subscription,
    emulator: config.PUBSUB_EMULATOR_HOST,
    incomingBucket: config.INCOMING_BUCKET,
    logger: new PinoLogger(params),
  });
}
