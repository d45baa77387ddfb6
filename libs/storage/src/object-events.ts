import type { EventVerdict, ObjectVersion } from '#libs/domain';

/** Storage says that bytes are here. A hint: it may be late, doubled, reordered, lost or forged. */
export interface ObjectFinalized extends ObjectVersion {
  /** Identifies one delivery in logs. */
  readonly messageId: string;
}

/** An event that cannot be what it says: not JSON, attributes missing, another kind. */
export interface MalformedEvent {
  readonly messageId: string;
  readonly problem: string;
}

export interface ObjectEventHandler {
  /** Called concurrently. `pause`: not now, a dependency is down; the event comes again and pulling pauses. */
  finalized(event: ObjectFinalized): Promise<EventVerdict>;
  malformed(event: MalformedEvent): Promise<EventVerdict>;
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
