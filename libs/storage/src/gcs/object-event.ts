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

/** Returns why the message cannot be a notification of an object in `bucket`; null if it can. */
function problemOf({ attributes, data }: NotificationMessage, bucket: string): string | null {
  const { bucketId, objectId, objectGeneration, payloadFormat } = attributes;
  if (bucketId === undefined || objectId === undefined || objectGeneration === undefined) {
    return 'an attribute is missing';
  }
  if (bucketId !== bucket) return 'the event names another bucket';
  if (objectId === '') return 'the object has no name';
  if (!GENERATION.test(objectGeneration)) return 'the generation is not a number';
  if (payloadFormat === 'JSON_API_V1' && data !== null && !isJson(data)) return 'the payload is not JSON';
  return null;
}

/**
 * Decodes a notification of Cloud Storage from its attributes. The payload is neither needed nor trusted.
 * @see https://docs.cloud.google.com/storage/docs/pubsub-notifications
 */
export function decodeObjectEvent(message: NotificationMessage, bucket: string): DecodedEvent {
  const messageId = message.id;
  const { eventType, objectId = '', objectGeneration = '' } = message.attributes;
  if (eventType !== undefined && eventType !== 'OBJECT_FINALIZE') return { kind: 'other' };
  const problem = eventType === undefined ? 'an attribute is missing' : problemOf(message, bucket);
  if (problem !== null) return { kind: 'malformed', problem };
  return { kind: 'finalized', event: { messageId, bucket, key: objectId, version: objectGeneration } };
}
