import { ObjectEventReader } from '../object-events.js';
import { decodeObjectEvent } from './object-event.js';
import type { NotificationMessage } from './object-event.js';

const LONGEST_TEXT_BYTES = 8 * 1024;
/** What a notification is read from. */
const MEANT = ['eventType', 'bucketId', 'objectId', 'objectGeneration', 'payloadFormat'];

/**
 * The message as JSON: its attributes, and its data in base64. Of one that is too large the data is left out (null), then
 * all attributes but those that mean something, then these.
 */
export function textOfMessage({ attributes, data }: NotificationMessage): string {
  const meant = Object.fromEntries(Object.entries(attributes).filter(([name]) => MEANT.includes(name)));
  const forms = [
    { attributes, data: data?.toString('base64') ?? null },
    { attributes, data: null },
    { attributes: meant, data: null },
  ].map((form) => JSON.stringify(form));
  return (
    forms.find((text) => Buffer.byteLength(text) <= LONGEST_TEXT_BYTES) ?? '{"attributes":{},"data":null}'
  );
}

function messageIn(payload: string): NotificationMessage {
  const { attributes, data } = JSON.parse(payload) as Pick<NotificationMessage, 'attributes'> & {
    readonly data: string | null;
  };
  return { id: '', attributes, data: data === null ? null : Buffer.from(data, 'base64') };
}

/** Notifications of Cloud Storage as {@link textOfMessage} keeps them, of one bucket. */
export class KeptNotifications extends ObjectEventReader {
  constructor(private readonly bucket: string) {
    super();
  }

  override read(payload: string): { readonly key: string } | { readonly problem: string } {
    const decoded = decodeObjectEvent(messageIn(payload), this.bucket);
    switch (decoded.kind) {
      case 'finalized':
        return { key: decoded.event.key };
      case 'malformed':
        return { problem: decoded.problem };
      case 'other':
        return { problem: 'it is about something else' };
    }
  }
}
