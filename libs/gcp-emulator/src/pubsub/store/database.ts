import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { StatementSync } from 'node:sqlite';
import { RpcError, shuttingDown } from '../errors.js';

const VERSION = 1;

/**
 * A row in `deliveries` is a message that a subscription has not yet delivered for good. An acknowledgement deletes the
 * row, and the last row of a message deletes the message. `available_at` is the only time of a row: before it, the
 * message is leased or in backoff; after it, the message is due. `attempt` counts deliveries, so subscription, message
 * and attempt identify one delivery, which is valid until it is acknowledged, rejected (`leased` becomes 0) or followed
 * by the next. A subscription without a name is deleted; its rows are still being cleared.
 */
const SCHEMA = `
  CREATE TABLE topics (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    settings TEXT NOT NULL
  ) STRICT;
  CREATE TABLE subscriptions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT UNIQUE,
    topic_id INTEGER,
    settings TEXT NOT NULL
  ) STRICT;
  CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    published_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    ordering_key TEXT NOT NULL,
    attributes TEXT NOT NULL,
    data BLOB NOT NULL
  ) STRICT;
  CREATE TABLE message_ids (last INTEGER NOT NULL) STRICT;
  INSERT INTO message_ids VALUES (0);
  CREATE TABLE deliveries (
    subscription_id INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    leased INTEGER NOT NULL,
    available_at INTEGER NOT NULL,
    PRIMARY KEY (subscription_id, message_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX deliveries_due ON deliveries (subscription_id, available_at, message_id);
  CREATE INDEX deliveries_message ON deliveries (message_id);
  CREATE INDEX deliveries_attempted ON deliveries (subscription_id, available_at) WHERE attempt >= 5;
  CREATE TRIGGER message_done AFTER DELETE ON deliveries
    WHEN NOT EXISTS (SELECT 1 FROM deliveries WHERE message_id = OLD.message_id)
    BEGIN DELETE FROM messages WHERE id = OLD.message_id; END;
  PRAGMA user_version = ${VERSION};
`;

interface Job {
  /** Runs the work and returns the callback that resolves or rejects the caller's promise after the commit. */
  readonly run: () => () => void;
  readonly fail: (error: unknown) => void;
}

/**
 * The emulator's database file. Writes submitted in one turn of the event loop share one transaction and one flush to
 * disk (group commit), which makes durable publishing fast.
 */
export class Database {
  private queue: Job[] = [];
  private scheduled = false;

  private constructor(private readonly sqlite: DatabaseSync) {}

  /**
   * Opens the file and creates it if missing.
   * @throws {Error} with one sentence on the problem with the file
   */
  static open(dataDir: string): Database {
    const file = path.join(dataDir, 'pubsub.sqlite');
    let sqlite: DatabaseSync | undefined;
    try {
      mkdirSync(dataDir, { recursive: true });
      sqlite = new DatabaseSync(file);
      prepareFile(sqlite);
      return new Database(sqlite);
    } catch (error) {
      sqlite?.close();
      throw new Error(describe(file, error), { cause: error });
    }
  }

  prepare(sql: string): StatementSync {
    return this.sqlite.prepare(sql);
  }

  /** Runs `work` at once in its own transaction. For rare changes. */
  transaction<T>(work: () => T): T {
    if (!this.sqlite.isOpen) throw shuttingDown();
    this.sqlite.exec('BEGIN IMMEDIATE');
    try {
      const value = work();
      this.sqlite.exec('COMMIT');
      return value;
    } catch (error) {
      if (this.sqlite.isTransaction) this.sqlite.exec('ROLLBACK');
      throw error;
    }
  }

  /**
   * Runs `work` in the next shared transaction and resolves after the commit. Work that rejects with {@link RpcError}
   * must do so before it writes; any other error undoes the whole group. Work submitted by running work joins the
   * running transaction. Work must not change state in memory, since the transaction may still be undone.
   */
  submit<T>(work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const run = () => {
        try {
          const value = work();
          return () => resolve(value);
        } catch (error) {
          if (!(error instanceof RpcError)) throw error;
          return () => reject(error);
        }
      };
      this.queue.push({ run, fail: reject });
      if (this.scheduled) return;
      this.scheduled = true;
      setImmediate(() => this.flush());
    });
  }

  /** Commits the submitted work and closes the file. */
  close(): void {
    this.flush();
    this.sqlite.close();
  }

  private flush(): void {
    const group = this.queue;
    try {
      const callbacks = this.transaction(() => {
        const done: (() => void)[] = [];
        for (const job of group) done.push(job.run());
        return done;
      });
      for (const callback of callbacks) callback();
    } catch (error) {
      for (const job of group) job.fail(error);
    } finally {
      this.queue = [];
      this.scheduled = false;
    }
  }
}

function prepareFile(sqlite: DatabaseSync): void {
  // Exclusive, so that a second emulator on the file fails at its start instead of delivering the same messages.
  sqlite.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
  sqlite.exec('PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY;');
  const version = sqlite.prepare('PRAGMA user_version').get()?.user_version;
  if (version === 0) {
    sqlite.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT;`);
  } else if (version !== VERSION) {
    throw new Error(`it has format ${Number(version)}, and this version reads format ${VERSION}`);
  }
  const verdict = sqlite.prepare('PRAGMA quick_check(1)').get()?.quick_check;
  if (verdict !== 'ok') throw new Error(String(verdict).replaceAll(/\s+/g, ' '));
}

function describe(file: string, error: unknown): string {
  const reason = error instanceof Error ? error.message : String(error);
  return /database is locked/.test(reason)
    ? `The Pub/Sub backlog ${file} is in use by another process.`
    : `The Pub/Sub backlog ${file} cannot be read (${reason}); move it away to start with an empty one.`;
}
