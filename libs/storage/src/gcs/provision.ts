import { GcsClient } from './gcs-client.js';
import type { GcsOptions } from './gcs-client.js';
import { pubSubClient } from './pubsub-client.js';
import type { PubSubOptions } from './pubsub-client.js';
import { wantedResources } from './wanted-resources.js';
import type { Fields, WantedResource } from './wanted-resources.js';

export interface ResourceNames {
  readonly incomingBucket: string;
  readonly contentBucket: string;
  readonly quarantineBucket: string;
  readonly subscription: string;
  /** Default: the subscription's name. */
  readonly topic?: string;
  /** Name of the topic for events that nobody could handle, and of its subscription; default `<topic>-dead-letter`. */
  readonly deadLetter?: string;
}

export interface ProvisionOptions {
  readonly projectId: string;
  readonly storage?: Pick<GcsOptions, 'endpoint'>;
  readonly pubsub?: Pick<PubSubOptions, 'emulator'>;
  readonly names: ResourceNames;
  /** Where buckets are created, e.g. `europe-west3`; default: storage's own default. */
  readonly location?: string;
  /** Web origins that may upload and download; default any, since every request carries its own signature. */
  readonly allowedOrigins?: readonly string[];
  /** Look, say what would be done, and do nothing. */
  readonly dryRun?: boolean;
}

export interface ProvisionedResource {
  /** Kind and name, e.g. `bucket incoming`. */
  readonly resource: string;
  readonly action: 'created' | 'updated' | 'unchanged';
}

/**
 * Makes the buckets, topics, subscriptions and the notification that Stowage needs be as it needs them; what is right
 * already is left alone, and what it does not name in others' settings too. Safe to repeat, and to run twice at once.
 *
 * On Google Cloud two service agents need roles that an administrator grants once:
 * - `service-<project number>@gs-project-accounts.iam.gserviceaccount.com`: roles/pubsub.publisher on the topic
 * - `service-<project number>@gcp-sa-pubsub.iam.gserviceaccount.com`: roles/pubsub.publisher on the dead-letter topic and
 *   roles/pubsub.subscriber on the subscription
 * @see https://docs.cloud.google.com/storage/docs/reporting-changes
 * @see https://docs.cloud.google.com/pubsub/docs/handling-failures
 */
export async function provision(options: ProvisionOptions): Promise<ProvisionedResource[]> {
  const { projectId, storage, pubsub, dryRun = false } = options;
  const client = pubSubClient({ projectId, ...pubsub });
  try {
    const done: ProvisionedResource[] = [];
    for (const wanted of wantedResources(new GcsClient({ projectId, ...storage }), client, options)) {
      done.push({ resource: wanted.resource, action: await settle(wanted, dryRun) });
    }
    return done;
  } finally {
    await client.close();
  }
}

async function settle(wanted: WantedResource, dryRun: boolean): Promise<ProvisionedResource['action']> {
  let current = await wanted.read();
  if (current === null) {
    if (dryRun || (await wanted.create())) return 'created';
    // Somebody else has just created it.
    current = await wanted.read();
  }
  const changes = Object.entries(wanted.fields).filter(([name, value]) => !covers(current?.[name], value));
  if (changes.length === 0) return 'unchanged';
  if (!dryRun) await wanted.update(Object.fromEntries(changes));
  return 'updated';
}

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;
const isScalar = (value: unknown): value is string | number | boolean =>
  ['string', 'number', 'boolean'].includes(typeof value);

/** Whether all that is wanted is so. Null stands for not set; 64-bit numbers come as text. */
function covers(actual: unknown, wanted: unknown): boolean {
  if (wanted === null) return actual === null || actual === undefined;
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(actual) &&
      actual.length === wanted.length &&
      wanted.every((value, index) => covers(actual[index], value))
    );
  }
  if (isFields(wanted)) {
    return isFields(actual) && Object.entries(wanted).every(([name, value]) => covers(actual[name], value));
  }
  return isScalar(actual) && isScalar(wanted) && String(actual) === String(wanted);
}
