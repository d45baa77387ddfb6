import { differences } from './field-differences.js';
import type { FieldDifference } from './field-differences.js';
import { GcsClient } from './gcs-client.js';
import type { GcsOptions } from './gcs-client.js';
import { pubSubClient } from './pubsub-client.js';
import type { PubSubOptions } from './pubsub-client.js';
import { StorageAnswerError } from './storage-error.js';
import { wantedResources } from './wanted-resources.js';
import type { WantedResource } from './wanted-resources.js';

/** Names of the cloud resources that Stowage uses. */
export interface ResourceNames {
  readonly incomingBucket: string;
  readonly contentBucket: string;
  readonly quarantineBucket: string;
  /** Name of the topic for events, and of its subscription. */
  readonly subscription: string;
  /**
   * Name of the topic for events that exhausted their deliveries, and of its subscription; default
   * `<subscription>-dead-letter`.
   */
  readonly deadLetter?: string;
}

export interface ProvisionOptions {
  readonly projectId: string;
  readonly storage?: Pick<GcsOptions, 'endpoint'>;
  readonly pubsub?: Pick<PubSubOptions, 'emulator'>;
  readonly names: ResourceNames;
  /** Location for new buckets, e.g. `europe-west3`; default: the default of Cloud Storage. */
  readonly location?: string;
  /** Web origins that may upload and download; default any, because every request carries its own signature. */
  readonly allowedOrigins?: readonly string[];
  /** Retention of quarantined objects, in days; default 90. */
  readonly quarantineDays?: number;
  /** Report the changes without making them. */
  readonly dryRun?: boolean;
}

export interface ProvisionedResource {
  /** Kind and name, e.g. `bucket incoming`. */
  readonly resource: string;
  readonly action: 'created' | 'updated' | 'unchanged';
  /** The settings that an update changes; empty for the other actions. */
  readonly changes: readonly FieldDifference[];
}

/**
 * Creates or updates the buckets, topics, subscriptions and the notification that Stowage needs. Settings that are
 * right, or that Stowage does not name, stay unchanged. Safe to repeat and to run concurrently.
 *
 * On Google Cloud an administrator must grant roles to two service agents once:
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
    const results: ProvisionedResource[] = [];
    for (const wanted of wantedResources(new GcsClient({ projectId, ...storage }), client, options)) {
      results.push(await applyResource(wanted, dryRun));
    }
    return results;
  } finally {
    await client.close();
  }
}

/** HTTP status of Cloud Storage, and gRPC status of Pub/Sub. */
const MISSING: readonly unknown[] = [404, 5];
const EXISTS: readonly unknown[] = [409, 6];

async function applyResource(wanted: WantedResource, dryRun: boolean): Promise<ProvisionedResource> {
  const { resource, fields } = wanted;
  const read = () => nullIf(MISSING, wanted.read());
  let current = await read();
  if (current === null) {
    if (dryRun || (await nullIf(EXISTS, wanted.create())) !== null) {
      return { resource, action: 'created', changes: [] };
    }
    // A concurrent run has created the resource since the first read.
    current = await read();
  }
  const changes = Object.entries(fields).map(([name, value]) => ({
    name,
    value,
    differences: differences(name, current?.[name], value),
  }));
  const outdated = changes.filter((change) => change.differences.length > 0);
  if (outdated.length === 0) return { resource, action: 'unchanged', changes: [] };
  if (!dryRun) await wanted.update?.(Object.fromEntries(outdated.map(({ name, value }) => [name, value])));
  return { resource, action: 'updated', changes: outdated.flatMap((change) => change.differences) };
}

/** Waits for an answer; returns null if the service refuses with one of the statuses. */
async function nullIf<T>(statuses: readonly unknown[], answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    const status = error instanceof StorageAnswerError ? error.status : (error as { code?: unknown }).code;
    if (statuses.includes(status)) return null;
    throw error;
  }
}
