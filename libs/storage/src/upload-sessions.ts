import type { ObjectRef } from '#libs/domain';
import type { CallOptions } from './object-store.js';

export interface SessionRequest extends ObjectRef {
  readonly contentType: string;
  /** Exactly how many bytes the object will have; storage takes no more. */
  readonly sizeBytes: number;
  /** Origin of the page that will send the bytes; without it no page of another origin can use the session. */
  readonly origin?: string;
  /** The time of the clock by which the session's end is judged. */
  readonly now: Date;
}

export interface UploadSession {
  /** Where the client sends the bytes. A bearer secret: it is never logged, and stored only encrypted. */
  readonly url: string;
  /** When storage forgets the session by itself. */
  readonly expiresAt: Date;
}

/** `finished`: the object was written. `gone`: storage takes no bytes for the session any more. */
export type SessionState = 'open' | 'finished' | 'gone';

/**
 * Resumable upload sessions that the service opens in storage on a client's behalf. Every call has a timeout. A store that is
 * down, slow or rate-limiting is an `unavailable` StowageError (reason STORAGE_UNAVAILABLE).
 */
export abstract class UploadSessions {
  /**
   * Opens a session that can create the object once, with this type and size and no metadata of the client's.
   * @returns null when the object is there already
   */
  abstract open(request: SessionRequest, options?: CallOptions): Promise<UploadSession | null>;

  abstract stateOf(url: string, options?: CallOptions): Promise<SessionState>;

  /**
   * Ends a session: storage deletes the bytes that it holds for the session and takes no more. An object that the session has
   * already created stays. Resolves also when the session had ended before.
   */
  abstract end(url: string, options?: CallOptions): Promise<void>;
}
