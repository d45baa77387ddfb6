import type { protos } from '@google-cloud/pubsub';
import { checkRange, invalidArgument, unimplemented } from '../errors.js';
import { checkName } from '../names.js';
import { durationToMs, msToDuration } from '../rpc/wire.js';

type WireSubscription = protos.google.pubsub.v1.ISubscription;

/** Settings of a subscription, with the service's defaults filled in. */
export interface SubscriptionSettings {
  readonly ackDeadlineSeconds: number;
  readonly retentionMs: number;
  readonly labels: Record<string, string>;
  /** Idle time in milliseconds after which the subscription is deleted; null: never. */
  readonly expirationMs: number | null;
  readonly deadLetter: { readonly topic: string; readonly maxAttempts: number } | null;
  readonly retry: { readonly minimumMs: number; readonly maximumMs: number } | null;
}

const MINUTE_SECONDS = 60;
const DAY_SECONDS = 86_400;
const DEFAULTS = {
  ackDeadlineSeconds: 10,
  retentionMs: 7 * DAY_SECONDS * 1000,
  expirationMs: 31 * DAY_SECONDS * 1000,
  maxAttempts: 5,
  minimumBackoffMs: 10_000,
  maximumBackoffMs: 600_000,
} as const;

const UNSUPPORTED: readonly [feature: string, isUsed: (subscription: WireSubscription) => boolean][] = [
  ['push delivery (push_config)', ({ pushConfig }) => Boolean(pushConfig?.pushEndpoint)],
  ['BigQuery delivery (bigquery_config)', ({ bigqueryConfig }) => bigqueryConfig != null],
  ['Cloud Storage delivery (cloud_storage_config)', ({ cloudStorageConfig }) => cloudStorageConfig != null],
  ['Bigtable delivery (bigtable_config)', ({ bigtableConfig }) => bigtableConfig != null],
  ['filters (filter)', ({ filter }) => Boolean(filter)],
  ['ordered delivery (enable_message_ordering)', (wire) => Boolean(wire.enableMessageOrdering)],
  ['exactly-once delivery (enable_exactly_once_delivery)', (wire) => Boolean(wire.enableExactlyOnceDelivery)],
  ['replay (retain_acked_messages)', ({ retainAckedMessages }) => Boolean(retainAckedMessages)],
  ['message transforms (message_transforms)', (wire) => Boolean(wire.messageTransforms?.length)],
];

/** Field mask paths that an update may name, and the setting that each changes; null when the emulator stores none. */
export const UPDATABLE: Readonly<Record<string, keyof SubscriptionSettings | null>> = {
  ack_deadline_seconds: 'ackDeadlineSeconds',
  message_retention_duration: 'retentionMs',
  labels: 'labels',
  expiration_policy: 'expirationMs',
  dead_letter_policy: 'deadLetter',
  retry_policy: 'retry',
  push_config: null,
  retain_acked_messages: null,
  enable_exactly_once_delivery: null,
};

/**
 * Reads the settings and fills in the service's defaults. The caller must check that the dead-letter topic exists.
 * @throws {RpcError} INVALID_ARGUMENT for a value out of range, UNIMPLEMENTED for a feature that the emulator lacks
 */
export function readSettings(wire: WireSubscription): SubscriptionSettings {
  for (const [feature, isUsed] of UNSUPPORTED) {
    if (isUsed(wire)) throw unimplemented(feature);
  }
  const ackDeadlineSeconds = wire.ackDeadlineSeconds || DEFAULTS.ackDeadlineSeconds;
  checkRange('ack_deadline_seconds', ackDeadlineSeconds, 10, 600);
  const retention = wire.messageRetentionDuration;
  const retentionMs = retention ? durationToMs(retention) : DEFAULTS.retentionMs;
  checkRange('message_retention_duration', retentionMs / 1000, 10 * MINUTE_SECONDS, 31 * DAY_SECONDS);
  return {
    ackDeadlineSeconds,
    retentionMs,
    labels: wire.labels ?? {},
    expirationMs: readExpiration(wire.expirationPolicy),
    deadLetter: readDeadLetter(wire.deadLetterPolicy),
    retry: readRetry(wire.retryPolicy),
  };
}

function readExpiration(policy: WireSubscription['expirationPolicy']): number | null {
  if (!policy) return DEFAULTS.expirationMs;
  if (!policy.ttl) return null;
  const ttl = durationToMs(policy.ttl);
  checkRange('expiration_policy.ttl', ttl / 1000, DAY_SECONDS, Number.MAX_SAFE_INTEGER);
  return ttl;
}

function readDeadLetter(policy: WireSubscription['deadLetterPolicy']): SubscriptionSettings['deadLetter'] {
  if (!policy) return null;
  const maxAttempts = policy.maxDeliveryAttempts || DEFAULTS.maxAttempts;
  checkRange('max_delivery_attempts', maxAttempts, 5, 100);
  return { topic: checkName('topics', policy.deadLetterTopic, 'dead_letter_topic'), maxAttempts };
}

function readRetry(policy: WireSubscription['retryPolicy']): SubscriptionSettings['retry'] {
  if (!policy) return null;
  const { minimumBackoff, maximumBackoff } = policy;
  const minimumMs = minimumBackoff ? durationToMs(minimumBackoff) : DEFAULTS.minimumBackoffMs;
  const maximumMs = maximumBackoff ? durationToMs(maximumBackoff) : DEFAULTS.maximumBackoffMs;
  checkRange('retry_policy.minimum_backoff', minimumMs / 1000, 0, 600);
  checkRange('retry_policy.maximum_backoff', maximumMs / 1000, 0, 600);
  if (minimumMs > maximumMs) {
    throw invalidArgument('The retry_policy.minimum_backoff must not be greater than the maximum_backoff.');
  }
  return { minimumMs, maximumMs };
}

export const settingsToWire = (settings: SubscriptionSettings): WireSubscription => ({
  ackDeadlineSeconds: settings.ackDeadlineSeconds,
  messageRetentionDuration: msToDuration(settings.retentionMs),
  labels: settings.labels,
  expirationPolicy: settings.expirationMs === null ? {} : { ttl: msToDuration(settings.expirationMs) },
  deadLetterPolicy: settings.deadLetter && {
    deadLetterTopic: settings.deadLetter.topic,
    maxDeliveryAttempts: settings.deadLetter.maxAttempts,
  },
  retryPolicy: settings.retry && {
    minimumBackoff: msToDuration(settings.retry.minimumMs),
    maximumBackoff: msToDuration(settings.retry.maximumMs),
  },
  pushConfig: {},
  enableMessageOrdering: false,
  enableExactlyOnceDelivery: false,
  retainAckedMessages: false,
  detached: false,
  state: 'ACTIVE',
});

/**
 * The time at which an unacknowledged delivery becomes available again, in milliseconds since the epoch: the end of its
 * lease or the nack, plus the retry policy's backoff, which doubles from minimum to maximum. A message without
 * remaining attempts gets no backoff, since it goes to the dead-letter topic next.
 */
export function availableAgainAt(settings: SubscriptionSettings, attempt: number, endMs: number): number {
  const { retry } = settings;
  if (!retry || isExhausted(settings, attempt)) return endMs;
  return endMs + Math.min(retry.maximumMs, retry.minimumMs * 2 ** (attempt - 1));
}

export const isExhausted = ({ deadLetter }: SubscriptionSettings, attempt: number): boolean =>
  deadLetter !== null && attempt >= deadLetter.maxAttempts;
