import type { ObjectRef } from '#libs/domain';
import type { CallOptions } from './object-store.js';

/** Properties of the object that a session will create. */
export interface SessionRequest extends ObjectRef {
  readonly contentType: string;
  /** Exact size of the object in bytes; storage accepts no more. */
  readonly sizeBytes: number;
  /** Origin of the web page that will send the bytes; without it CORS blocks pages of other origins. */
  readonly origin?: string;
  /** Current time of the clock against which `expiresAt` is compared. */
  readonly now: Date;
}

export interface UploadSession {
  /** URL for the client's requests. A bearer secret: never log it, store it only encrypted. */
  readonly url: string;
  /** When storage ends the session by itself. */
  readonly expiresAt: Date;
}

/** `finished`: the object was created. `gone`: storage no longer accepts bytes for the session. */
export type SessionState = 'open' | 'finished' | 'gone';

/**
 * Port to resumable upload sessions that the service opens in storage for a client. Every call has a timeout. A store
 * that is down, slow or rate-limiting causes an `unavailable` StowageError (reason STORAGE_UNAVAILABLE).
 */
export abstract class UploadSessions {
  /**
   * Opens a session that can create the object once, with this type and size and without metadata from the client.
   * @returns null if the object already exists
   */
  abstract open(request: SessionRequest, options?: CallOptions): Promise<UploadSession | null>;

  abstract stateOf(url: string, options?: CallOptions): Promise<SessionState>;

  /**
   * Ends a session: storage deletes the bytes received so far and accepts no more. An object that the session has
   * already created stays. Resolves also if the session has ended before.
   */
  abstract end(url: string, options?: CallOptions): Promise<void>;
}
