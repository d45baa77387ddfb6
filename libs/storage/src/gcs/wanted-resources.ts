import type { PubSub, SubscriptionMetadata } from '@google-cloud/pubsub';
import type { Fields } from './field-differences.js';
import type { CallLimits, GcsClient } from './gcs-client.js';
import type { ProvisionOptions } from './provision.js';

/** One cloud resource that must exist with given settings. */
export interface WantedResource {
  readonly resource: string;
  /** The settings that must match; other settings belong to the operator. */
  readonly fields: Fields;
  /** Reads the current settings. If the resource does not exist, resolves with null or rejects with 404 or NOT_FOUND. */
  read(): Promise<Fields | null>;
  /** Creates the resource. Rejects with 409 or ALREADY_EXISTS if it exists. */
  create(): Promise<unknown>;
  /** Applies the changed fields; absent if `fields` is empty. */
  update?(changes: Fields): Promise<unknown>;
}

const TIMEOUT_MS = 15_000;
const LIMITS: CallLimits = { timeoutMs: TIMEOUT_MS };
const GRPC = { timeout: TIMEOUT_MS, retry: null };

const PRIVATE = { uniformBucketLevelAccess: { enabled: true }, publicAccessPrevention: 'enforced' };
/** Soft-deleted bytes are billed, and deleted uploads and infected files must not be recoverable. */
const NO_SOFT_DELETE = { retentionDurationSeconds: '0' };
/**
 * Age limit for incoming objects that no row references: longer than the life of a resumable session and the retention
 * of a failed asset's bytes. https://docs.cloud.google.com/storage/docs/lifecycle
 */
const INCOMING_DAYS = 30;
const QUARANTINE_DAYS = 90;
const deletedAfter = (days: number) => ({ rule: [{ action: { type: 'Delete' }, condition: { age: days } }] });
const UPLOAD_METHODS = ['PUT', 'GET', 'HEAD'];
/** Every header that an upload signs, and those that a client of a resumable session sends or reads. */
const UPLOAD_HEADERS = [
  'content-type',
  'content-range',
  'range',
  'x-goog-content-length-range',
  'x-goog-hash',
  'x-goog-if-generation-match',
];
const DOWNLOAD_METHODS = ['GET', 'HEAD'];
const DOWNLOAD_HEADERS = [
  'accept-ranges',
  'content-disposition',
  'content-length',
  'content-range',
  'content-type',
  'etag',
  'range',
];

/**
 * Lists the resources in creation order: the subscription must exist before the notification, or early events are lost.
 */
export function wantedResources(
  gcs: GcsClient,
  pubsub: PubSub,
  { names, location, allowedOrigins = ['*'], quarantineDays = QUARANTINE_DAYS }: ProvisionOptions,
): WantedResource[] {
  const { incomingBucket, contentBucket, quarantineBucket, subscription } = names;
  const { deadLetter = `${subscription}-dead-letter` } = names;
  const cors = (method: string[], responseHeader: string[]) => [
    { origin: [...allowedOrigins], method, responseHeader, maxAgeSeconds: 3600 },
  ];
  const bucket = (name: string, fields: Fields) =>
    wantedBucket(gcs, name, location, { iamConfiguration: PRIVATE, ...fields });

  return [
    wantedTopic(pubsub, subscription),
    wantedTopic(pubsub, deadLetter),
    wantedSubscription(pubsub, deadLetter, SUBSCRIPTION_DEFAULTS),
    wantedSubscription(pubsub, subscription, {
      ...SUBSCRIPTION_DEFAULTS,
      ackDeadlineSeconds: 60,
      deadLetterPolicy: {
        deadLetterTopic: pubsub.topic(deadLetter).name,
        // The maximum that Pub/Sub allows: an outage of hours must not turn events into dead letters.
        maxDeliveryAttempts: 100,
      },
    }),
    bucket(incomingBucket, {
      cors: cors(UPLOAD_METHODS, UPLOAD_HEADERS),
      softDeletePolicy: NO_SOFT_DELETE,
      lifecycle: deletedAfter(INCOMING_DAYS),
    }),
    // Soft delete stays as configured (default seven days), to recover from accidental deletion.
    bucket(contentBucket, { cors: cors(DOWNLOAD_METHODS, DOWNLOAD_HEADERS) }),
    bucket(quarantineBucket, {
      softDeletePolicy: NO_SOFT_DELETE,
      lifecycle: deletedAfter(quarantineDays),
    }),
    wantedNotification(gcs, incomingBucket, pubsub.topic(subscription).name),
  ];
}

/** Settings of every subscription: no expiry, unacknowledged messages kept for seven days, backoff after a nack. */
const SUBSCRIPTION_DEFAULTS: SubscriptionMetadata = {
  expirationPolicy: { ttl: null },
  messageRetentionDuration: { seconds: 7 * 24 * 3600 },
  retryPolicy: { minimumBackoff: { seconds: 10 }, maximumBackoff: { seconds: 600 } },
};

function wantedBucket(
  gcs: GcsClient,
  name: string,
  location: string | undefined,
  fields: Fields,
): WantedResource {
  return {
    resource: `bucket ${name}`,
    fields,
    read: async () => (await gcs.call(LIMITS, (storage) => storage.bucket(name).getMetadata()))[0],
    create: () => gcs.call(LIMITS, (storage) => storage.createBucket(name, { location, ...fields })),
    update: (changes) => gcs.call(LIMITS, (storage) => storage.bucket(name).setMetadata(changes)),
  };
}

function wantedNotification(gcs: GcsClient, bucketName: string, topic: string): WantedResource {
  const eventTypes = ['OBJECT_FINALIZE'];
  const payloadFormat = 'JSON_API_V1';
  return {
    resource: `notification ${bucketName}`,
    fields: {},
    // Notifications have no name and cannot be changed, so an equal one counts as existing.
    read: async () => {
      const [list] = await gcs.call(LIMITS, (storage) => storage.bucket(bucketName).getNotifications());
      const found = list.some(
        ({ metadata }) =>
          metadata.topic === `//pubsub.googleapis.com/${topic}` &&
          metadata.event_types?.join() === eventTypes.join() &&
          metadata.payload_format === payloadFormat &&
          !metadata.object_name_prefix,
      );
      return found ? {} : null;
    },
    // A single attempt: if only the answer were lost, a retry would create a second notification and every event twice.
    create: () =>
      gcs.call({ ...LIMITS, attempts: 1 }, (storage) =>
        storage.bucket(bucketName).createNotification(topic, { eventTypes, payloadFormat }),
      ),
  };
}

function wantedTopic(pubsub: PubSub, name: string): WantedResource {
  return {
    resource: `topic ${name}`,
    fields: {},
    read: async () => ({ ...(await pubsub.topic(name).getMetadata(GRPC))[0] }),
    create: () => pubsub.createTopic(name, GRPC),
  };
}

/** A subscription to the topic of the same name. */
function wantedSubscription(pubsub: PubSub, name: string, fields: SubscriptionMetadata): WantedResource {
  const topic = pubsub.topic(name);
  const subscription = pubsub.subscription(name);
  return {
    resource: `subscription ${name}`,
    fields: { ...fields },
    read: async () => {
      const [current] = await subscription.getMetadata(GRPC);
      if (current.topic !== topic.name) {
        throw new Error(`Subscription ${name} belongs to ${current.topic}, not to ${topic.name}`);
      }
      return { ...current };
    },
    create: () => topic.createSubscription(name, { ...fields, gaxOpts: GRPC }),
    update: (changes) => subscription.setMetadata(changes, GRPC),
  };
}
