import { differences } from './field-differences.js';
import type { FieldDifference } from './field-differences.js';
import { GcsClient } from './gcs-client.js';
import type { GcsOptions } from './gcs-client.js';
import { pubSubClient } from './pubsub-client.js';
import type { PubSubOptions } from './pubsub-client.js';
import { wantedResources } from './wanted-resources.js';
import type { WantedResource } from './wanted-resources.js';

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
  /** How long storage keeps what lies in quarantine, in days; default 90. */
  readonly quarantineDays?: number;
  /** Look, say what would be done, and do nothing. */
  readonly dryRun?: boolean;
}

export interface ProvisionedResource {
  /** Kind and name, e.g. `bucket incoming`. */
  readonly resource: string;
  readonly action: 'created' | 'updated' | 'unchanged';
  /** What an update changes; empty for the other actions. */
  readonly changes: readonly FieldDifference[];
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
      done.push(await settle(wanted, dryRun));
    }
    return done;
  } finally {
    await client.close();
  }
}

async function settle(wanted: WantedResource, dryRun: boolean): Promise<ProvisionedResource> {
  const { resource, fields } = wanted;
  let current = await wanted.read();
  if (current === null) {
    if (dryRun || (await wanted.create())) return { resource, action: 'created', changes: [] };
    // Somebody else has just created it.
    current = await wanted.read();
  }
  const changes = Object.entries(fields).map(([name, value]) => ({
    name,
    value,
    differences: differences(name, current?.[name], value),
  }));
  const wrong = changes.filter((change) => change.differences.length > 0);
  if (wrong.length === 0) return { resource, action: 'unchanged', changes: [] };
  if (!dryRun) await wanted.update(Object.fromEntries(wrong.map(({ name, value }) => [name, value])));
  return { resource, action: 'updated', changes: wrong.flatMap((change) => change.differences) };
}
