import type { EventVerdict, ObjectVersion } from '#libs/domain';

/** Event for a newly written object. A hint only: it may be late, duplicated, reordered, lost or forged. */
export interface ObjectFinalized extends ObjectVersion {
  /** Identifies one delivery in logs. */
  readonly messageId: string;
}

/**
 * An event that cannot be processed: it is malformed (not JSON, attributes missing, another bucket), or the delivering
 * service has exhausted its deliveries.
 */
export interface UndeliverableEvent {
  /** Unique to this event and stable across its redeliveries. */
  readonly messageId: string;
  readonly problem: string;
  /** Number of deliveries as far as known; at least 1. */
  readonly attempts: number;
  /** Key of the object; null if the event is malformed. */
  readonly key: string | null;
  /** The event as JSON of at most a few KiB, for an {@link ObjectEventReader}. */
  readonly payload: string;
}

/** Processes the events of an {@link ObjectEvents}. Both methods are called concurrently. */
export interface ObjectEventHandler {
  /** Verdict `pause`: a dependency is down; the event is redelivered and pulling pauses. */
  finalized(event: ObjectFinalized): Promise<EventVerdict>;
  /** After the verdict `ack` only the handler's own record of the event remains. */
  undeliverable(event: UndeliverableEvent): Promise<EventVerdict>;
}

/** Source of object store events. Delivers at least once, in any order. */
export abstract class ObjectEvents {
  /** Starts to deliver events to `handler`; connection errors are retried without limit. @throws if already started */
  abstract start(handler: ObjectEventHandler): Promise<void>;
  /** Checks that events can be received. @throws if they cannot, or on abort */
  abstract check(signal: AbortSignal): Promise<void>;
  /** Stops receiving, waits up to `timeoutMs` milliseconds for running handlers, then returns the remaining events. */
  abstract stop(timeoutMs: number): Promise<void>;
}

/** Reads events that were stored as text. */
export abstract class ObjectEventReader {
  /** Returns the object's key, or why the payload is not an object event. */
  abstract read(payload: string): { readonly key: string } | { readonly problem: string };
}
