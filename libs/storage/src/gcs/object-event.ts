import type { ObjectFinalized } from '../object-events.js';

/** The parts of a Pub/Sub message that make up a notification. */
export interface NotificationMessage {
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** The payload; null if it was too large to store. Decoding does not need the payload. */
  readonly data: Buffer | null;
}

export type DecodedEvent =
  | { readonly kind: 'finalized'; readonly event: ObjectFinalized }
  | { readonly kind: 'malformed'; readonly problem: string }
  /** A notification of another event type, which the service ignores. */
  | { readonly kind: 'other' };

const GENERATION = /^[1-9][0-9]{0,18}$/;

function isJson(data: Buffer): boolean {
  try {
    JSON.parse(data.toString());
    return true;
  } catch {
    return false;
  }
}

/**
 * Decodes a notification of Cloud Storage from its attributes. The payload is neither needed nor trusted.
 * @see https://docs.cloud.google.com/storage/docs/pubsub-notifications
 */
export function decodeObjectEvent(
  { id: messageId, attributes, data }: NotificationMessage,
  bucket: string,
): DecodedEvent {
  const { eventType, bucketId, objectId: key, objectGeneration: version, payloadFormat } = attributes;
  const malformed = (problem: string): DecodedEvent => ({ kind: 'malformed', problem });
  if (eventType !== undefined && eventType !== 'OBJECT_FINALIZE') return { kind: 'other' };
  if (eventType === undefined || bucketId === undefined || key === undefined || version === undefined) {
    return malformed('an attribute is missing');
  }
  if (bucketId !== bucket) return malformed('the event names another bucket');
  if (key === '') return malformed('the object has no name');
  if (!GENERATION.test(version)) return malformed('the generation is not a number');
  if (payloadFormat === 'JSON_API_V1' && data !== null && !isJson(data)) {
    return malformed('the payload is not JSON');
  }
  return { kind: 'finalized', event: { messageId, bucket, key, version } };
}
