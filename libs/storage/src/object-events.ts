import type { EventVerdict, ObjectVersion } from '#libs/domain';

/** Storage says that bytes are here. A hint: it may be late, doubled, reordered, lost or forged. */
export interface ObjectFinalized extends ObjectVersion {
  /** Identifies one delivery in logs. */
  readonly messageId: string;
}

/**
 * An event that nothing will come of: it cannot be what it says (not JSON, attributes missing, another bucket), or the
 * service that delivers it has given up.
 */
export interface UndeliverableEvent {
  /** The same whenever this event comes again, and no other's. */
  readonly messageId: string;
  readonly problem: string;
  /** How often it was delivered, as far as is known; 1 at the least. */
  readonly attempts: number;
  /** The key of the object, where the event can be read. */
  readonly key: string | null;
  /** What an {@link ObjectEventReader} reads it from again: JSON, a few KiB at the most. */
  readonly payload: string;
}

export interface ObjectEventHandler {
  /** Called concurrently. `pause`: not now, a dependency is down; the event comes again and pulling pauses. */
  finalized(event: ObjectFinalized): Promise<EventVerdict>;
  /** Likewise. After `ack` the handler is the only one to know of it. */
  undeliverable(event: UndeliverableEvent): Promise<EventVerdict>;
}

/** Where events of the object store come from. At least once, in no order. */
export abstract class ObjectEvents {
  /** Begins to call `handler`; connection trouble is retried for ever. */
  abstract start(handler: ObjectEventHandler): Promise<void>;
  /** Asks whether events could be taken. @throws when they could not, or on abort */
  abstract check(signal: AbortSignal): Promise<void>;
  /** Takes no more events, waits for the handlers that run (up to `timeoutMs`), gives back the rest. */
  abstract stop(timeoutMs: number): Promise<void>;
}

/** Reads the events that were kept as text. */
export abstract class ObjectEventReader {
  /** The object's key, or why the payload is no event of an object. */
  abstract read(payload: string): { readonly key: string } | { readonly problem: string };
}
