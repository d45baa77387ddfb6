import { ObjectEventReader } from '../object-events.js';
import { decodeObjectEvent } from './object-event.js';
import type { NotificationMessage } from './object-event.js';

const MAX_TEXT_BYTES = 8 * 1024;
/** The attributes from which a notification is decoded. */
const RELEVANT_ATTRIBUTES = ['eventType', 'bucketId', 'objectId', 'objectGeneration', 'payloadFormat'];

/**
 * Encodes a message as JSON: its attributes, and its data in Base64. If the JSON would exceed 8 KiB, the data is
 * dropped (null), then all attributes that {@link decodeObjectEvent} does not read, then the remaining attributes.
 */
export function encodeMessage({ attributes, data }: NotificationMessage): string {
  const relevant = Object.fromEntries(
    Object.entries(attributes).filter(([name]) => RELEVANT_ATTRIBUTES.includes(name)),
  );
  const forms = [
    { attributes, data: data?.toString('base64') ?? null },
    { attributes, data: null },
    { attributes: relevant, data: null },
  ].map((form) => JSON.stringify(form));
  return forms.find((text) => Buffer.byteLength(text) <= MAX_TEXT_BYTES) ?? '{"attributes":{},"data":null}';
}

function messageIn(payload: string): NotificationMessage {
  const { attributes, data } = JSON.parse(payload) as Pick<NotificationMessage, 'attributes'> & {
    readonly data: string | null;
  };
  return { id: '', attributes, data: data === null ? null : Buffer.from(data, 'base64') };
}

/** Reads Cloud Storage notifications of one bucket from the text that {@link encodeMessage} wrote. */
export class StoredNotificationReader extends ObjectEventReader {
  constructor(private readonly bucket: string) {
    super();
  }

  override read(payload: string): { readonly key: string } | { readonly problem: string } {
    const decoded = decodeObjectEvent(messageIn(payload), this.bucket);
    if (decoded.kind === 'finalized') return { key: decoded.event.key };
    return { problem: decoded.kind === 'malformed' ? decoded.problem : 'the event is of another type' };
  }
}
