import { randomBytes, randomUUID } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { ApiError } from '../http/errors.js';
import type { Upload } from '../uploads.js';
import { prepared } from './database.js';
import type { StoredObject } from './objects.js';

/** A resumable upload session. Its id is a secret that alone authorizes writing to the session. */
export interface Session {
  id: string;
  /** The API that started the session; its responses use that API's format. */
  api: 'json' | 'xml';
  /** Origin of the web page that the session was started for, if any. */
  origin: string | undefined;
  upload: Upload;
  blob: string;
  /** Bytes that are flushed to disk; a multiple of 256 KiB until the session is finished. */
  stored: number;
  /** Size of the whole object in bytes, once the client has announced it. */
  total: number | undefined;
  state: 'open' | 'finished' | 'cancelled';
  /** The object that a finished session created. */
  object: StoredObject | undefined;
  expired: boolean;
}

interface SessionRow {
  id: string;
  api: Session['api'];
  origin: string | null;
  upload: string;
  blob: string;
  stored: number;
  total: number | null;
  state: Session['state'];
  object: string | null;
  expires_at: number;
}

/** Lifetime of a session in GCS. https://docs.cloud.google.com/storage/docs/resumable-uploads#session-uris */
const LIFETIME_MS = 7 * 24 * 60 * 60 * 1000;

/** Resumable upload sessions. Every session, even a finished one, is kept for a week. */
export class Sessions {
  constructor(
    private readonly db: DatabaseSync,
    private readonly now: () => Date,
  ) {}

  create(start: Pick<Session, 'api' | 'origin' | 'upload' | 'total'>): string {
    const id = randomBytes(32).toString('base64url');
    prepared(this.db, "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, 0, ?, 'open', NULL, ?)").run(
      id,
      start.api,
      start.origin ?? null,
      JSON.stringify(start.upload),
      randomUUID(),
      start.total ?? null,
      this.now().getTime() + LIFETIME_MS,
    );
    return id;
  }

  find(id: string): Session | undefined {
    const found = prepared(this.db, 'SELECT * FROM sessions WHERE id = ?').get(id);
    if (found === undefined) return undefined;
    const { expires_at, ...row } = found as unknown as SessionRow;
    return {
      ...row,
      origin: row.origin ?? undefined,
      upload: JSON.parse(row.upload) as Upload,
      total: row.total ?? undefined,
      object: row.object === null ? undefined : (JSON.parse(row.object) as StoredObject),
      expired: expires_at <= this.now().getTime(),
    };
  }

  /** Records progress in bytes. Call it only after the bytes are flushed to disk. */
  advance(id: string, stored: number, total: number | undefined): void {
    prepared(this.db, 'UPDATE sessions SET stored = ?, total = ? WHERE id = ?').run(
      stored,
      total ?? null,
      id,
    );
  }

  /**
   * Call it inside the transaction that creates the object.
   * @throws {ApiError} cancelled when the session was cancelled meanwhile
   */
  finish(id: string, object: StoredObject): void {
    const { changes } = prepared(
      this.db,
      "UPDATE sessions SET state = 'finished', stored = ?, object = ? WHERE id = ? AND state = 'open'",
    ).run(object.size, JSON.stringify(object), id);
    if (changes === 0) throw new ApiError('cancelled');
  }

  cancel(id: string): void {
    prepared(this.db, "UPDATE sessions SET state = 'cancelled' WHERE id = ?").run(id);
  }

  /** Ids of expired sessions. */
  expired(): string[] {
    const rows = prepared(this.db, 'SELECT id FROM sessions WHERE expires_at <= ?').all(this.now().getTime());
    return rows.map(({ id }) => String(id));
  }

  remove(id: string): void {
    prepared(this.db, 'DELETE FROM sessions WHERE id = ?').run(id);
  }
}
