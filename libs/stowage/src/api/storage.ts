import { IsOptional, IsString } from 'class-validator';
import { type Params, PinoLogger } from 'nestjs-pino';
import { Variable } from '#libs/runtime';
import type { StorageAdapters } from '#libs/storage';
import {
  GcsObjectStore,
  GcsUploadSessions,
  GcsUrlSigner,
  PubSubObjectEvents,
  readSigningKey,
  StoredNotificationReader,
} from '#libs/storage/gcs';
import type { ApiConfiguration } from './config.js';

/** The API receives no events. If the subscription is configured, the API reports its health at `/health/ready`. */
export class PubSubHealthConfig {
  @Variable('PUBSUB_SUBSCRIPTION')
  @IsOptional()
  @IsString()
  readonly subscription?: string;

  @Variable('PUBSUB_EMULATOR_HOST')
  @IsOptional()
  @IsString()
  readonly emulator?: string;
}

/**
 * Creates the adapters of the storage ports.
 * @param params of the logger for events
 * @throws Error with a message of one sentence if there is no key to sign URLs
 */
export function storageOf(config: ApiConfiguration, params: Params): StorageAdapters {
  const { projectId, endpoint, proxy } = config.gcs;
  const { publicEndpoint } = config.gcsSigning;
  const { subscription, emulator } = config.pubSubHealth;
  const { incomingBucket } = config.assets;
  return {
    store: new GcsObjectStore(config.gcs),
    sessions: new GcsUploadSessions({ projectId, endpoint, proxy, publicEndpoint }),
    signer: new GcsUrlSigner({
      endpoint: publicEndpoint ?? endpoint,
      key: readSigningKey(config.gcsSigning),
    }),
    eventReader: new StoredNotificationReader(incomingBucket),
    events:
      subscription === undefined
        ? undefined
        : new PubSubObjectEvents({
            projectId,
            subscription,
            emulator,
            incomingBucket,
            logger: new PinoLogger(params),
          }),
    probedBucket: incomingBucket,
  };
}
