import type { PubSub, SubscriptionMetadata, Topic } from '@google-cloud/pubsub';
import type { Fields } from './field-differences.js';
import type { CallLimits, GcsClient } from './gcs-client.js';
import type { ProvisionOptions } from './provision.js';
import { StorageAnswerError } from './storage-error.js';

/** One thing that has to be there. */
export interface WantedResource {
  readonly resource: string;
  /** The settings that have to be so; all others are somebody else's. */
  readonly fields: Fields;
  /** Its settings; null when it is not there. */
  read(): Promise<Fields | null>;
  /** False when it is there by now. */
  create(): Promise<boolean>;
  /** Gets the fields that differ. */
  update(changes: Fields): Promise<void>;
}

const TIMEOUT_MS = 15_000;
const LIMITS: CallLimits = { timeoutMs: TIMEOUT_MS };
const GRPC = { timeout: TIMEOUT_MS, retry: null };
const NOT_FOUND = 5;
const ALREADY_EXISTS = 6;

const PRIVATE = { uniformBucketLevelAccess: { enabled: true }, publicAccessPrevention: 'enforced' };
/** Soft-deleted bytes are billed, and these are deleted to be gone. */
const NO_SOFT_DELETE = { retentionDurationSeconds: '0' };
/**
 * The last resort for what no row leads to: longer than a resumable session lives and the bytes of a failed asset are kept.
 * https://docs.cloud.google.com/storage/docs/lifecycle
 */
const FORGOTTEN_DAYS = 30;
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

/** What Stowage needs, in the order in which it can be made: no event before there is a subscription to keep it. */
export function wantedResources(
  gcs: GcsClient,
  pubsub: PubSub,
  { names, location, allowedOrigins = ['*'], quarantineDays = QUARANTINE_DAYS }: ProvisionOptions,
): WantedResource[] {
  const { incomingBucket, contentBucket, quarantineBucket, subscription, topic = subscription } = names;
  const { deadLetter = `${topic}-dead-letter` } = names;
  const cors = (method: string[], responseHeader: string[]) => [
    { origin: [...allowedOrigins], method, responseHeader, maxAgeSeconds: 3600 },
  ];
  const bucket = (name: string, fields: Fields) =>
    wantedBucket(gcs, { name, location }, { iamConfiguration: PRIVATE, ...fields });

  return [
    wantedTopic(pubsub, topic),
    wantedTopic(pubsub, deadLetter),
    wantedSubscription(pubsub, deadLetter, deadLetter, KEPT),
    wantedSubscription(pubsub, topic, subscription, {
      ...KEPT,
      ackDeadlineSeconds: 60,
      deadLetterPolicy: {
        deadLetterTopic: pubsub.topic(deadLetter).name,
        // The most there can be: a dependency that is down for hours is no reason to give an event up.
        maxDeliveryAttempts: 100,
      },
    }),
    bucket(incomingBucket, {
      cors: cors(UPLOAD_METHODS, UPLOAD_HEADERS),
      softDeletePolicy: NO_SOFT_DELETE,
      lifecycle: deletedAfter(FORGOTTEN_DAYS),
    }),
    // Its soft delete is left as it is, storage's own seven days unless somebody chose otherwise: the way back from an accident.
    bucket(contentBucket, { cors: cors(DOWNLOAD_METHODS, DOWNLOAD_HEADERS) }),
    bucket(quarantineBucket, {
      softDeletePolicy: NO_SOFT_DELETE,
      lifecycle: deletedAfter(quarantineDays),
    }),
    wantedNotification(gcs, incomingBucket, pubsub.topic(topic).name),
  ];
}

/** Of every subscription: it never expires, keeps what nobody took for seven days, and waits with what was given back. */
const KEPT: SubscriptionMetadata = {
  expirationPolicy: { ttl: null },
  messageRetentionDuration: { seconds: 7 * 24 * 3600 },
  retryPolicy: { minimumBackoff: { seconds: 10 }, maximumBackoff: { seconds: 600 } },
};

function wantedBucket(
  gcs: GcsClient,
  { name, location }: { name: string; location?: string },
  fields: Fields,
): WantedResource {
  return {
    resource: `bucket ${name}`,
    fields,
    read: () =>
      orNull(
        gcs.call(LIMITS, async (storage): Promise<Fields> => (await storage.bucket(name).getMetadata())[0]),
      ),
    create: () =>
      unlessThere(gcs.call(LIMITS, (storage) => storage.createBucket(name, { location, ...fields }))),
    update: async (changes) => {
      await gcs.call(LIMITS, (storage) => storage.bucket(name).setMetadata(changes));
    },
  };
}

function wantedNotification(gcs: GcsClient, bucketName: string, topic: string): WantedResource {
  const eventTypes = ['OBJECT_FINALIZE'];
  const payloadFormat = 'JSON_API_V1';
  return {
    resource: `notification ${bucketName}`,
    fields: {},
    // Notifications have no name and cannot be changed: it is there when one like it is.
    read: async () => {
      const list = await orNull(
        gcs.call(LIMITS, async (storage) => (await storage.bucket(bucketName).getNotifications())[0]),
      );
      const found = list?.some(
        ({ metadata }) =>
          metadata.topic === `//pubsub.googleapis.com/${topic}` &&
          metadata.event_types?.join() === eventTypes.join() &&
          metadata.payload_format === payloadFormat &&
          !metadata.object_name_prefix,
      );
      return found ? {} : null;
    },
    // Not repeated: were just the answer lost, there would be two, and every event twice.
    create: () =>
      unlessThere(
        gcs.call({ ...LIMITS, attempts: 1 }, (storage) =>
          storage.bucket(bucketName).createNotification(topic, { eventTypes, payloadFormat }),
        ),
      ),
    update: () => Promise.resolve(),
  };
}

const topicFields = async (topic: Topic): Promise<Fields> => ({ ...(await topic.getMetadata(GRPC))[0] });

function wantedTopic(pubsub: PubSub, name: string): WantedResource {
  return {
    resource: `topic ${name}`,
    fields: {},
    read: () => orNull(topicFields(pubsub.topic(name))),
    create: () => unlessThere(pubsub.createTopic(name, GRPC)),
    update: () => Promise.resolve(),
  };
}

function wantedSubscription(
  pubsub: PubSub,
  topicName: string,
  name: string,
  fields: SubscriptionMetadata,
): WantedResource {
  const topic = pubsub.topic(topicName);
  const subscription = pubsub.subscription(name);
  const read = async () => {
    const [current] = await subscription.getMetadata(GRPC);
    if (current.topic !== topic.name) {
      throw new Error(`Subscription ${name} belongs to ${current.topic}, not to ${topic.name}`);
    }
    return { ...current };
  };
  return {
    resource: `subscription ${name}`,
    fields: { ...fields },
    read: () => orNull(read()),
    create: () => unlessThere(topic.createSubscription(name, { ...fields, gaxOpts: GRPC })),
    update: async (changes) => {
      await subscription.setMetadata(changes, GRPC);
    },
  };
}

const codeOf = (error: unknown) =>
  error instanceof StorageAnswerError ? error.status : (error as { code?: unknown }).code;

async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (codeOf(error) === 404 || codeOf(error) === NOT_FOUND) return null;
    throw error;
  }
}

async function unlessThere(creation: Promise<unknown>): Promise<boolean> {
  try {
    await creation;
    return true;
  } catch (error) {
    if (codeOf(error) === 409 || codeOf(error) === ALREADY_EXISTS) return false;
    throw error;
  }
}
