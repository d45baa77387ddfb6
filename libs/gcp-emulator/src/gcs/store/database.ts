import { DatabaseSync, type StatementSync } from 'node:sqlite';

/** Each entry migrates the index to the next version. Entries must never change; only append. */
const MIGRATIONS = [
  `
  CREATE TABLE buckets (
    name TEXT PRIMARY KEY,
    settings TEXT NOT NULL,
    metageneration INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
  ) WITHOUT ROWID;

  CREATE TABLE objects (
    bucket TEXT NOT NULL REFERENCES buckets (name),
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    metageneration INTEGER NOT NULL,
    size INTEGER NOT NULL,
    md5 TEXT NOT NULL,
    crc32c TEXT NOT NULL,
    blob TEXT NOT NULL UNIQUE,
    metadata TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (bucket, name)
  ) WITHOUT ROWID;

  CREATE TABLE notifications (
    bucket TEXT NOT NULL REFERENCES buckets (name) ON DELETE CASCADE,
    id INTEGER NOT NULL,
    settings TEXT NOT NULL,
    PRIMARY KEY (bucket, id)
  ) WITHOUT ROWID;

  CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    attributes TEXT NOT NULL,
    data BLOB NOT NULL,
    enqueued_at INTEGER NOT NULL
  );

  CREATE TABLE generation_clock (id INTEGER PRIMARY KEY CHECK (id = 1), latest INTEGER NOT NULL);
  INSERT INTO generation_clock VALUES (1, 0);
  `,
  `
  CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    api TEXT NOT NULL,
    origin TEXT,
    upload TEXT NOT NULL,
    blob TEXT NOT NULL,
    stored INTEGER NOT NULL,
    total INTEGER,
    state TEXT NOT NULL CHECK (state IN ('open', 'finished', 'cancelled')),
    object TEXT,
    expires_at INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX sessions_by_expiry ON sessions (expires_at);
  CREATE INDEX open_sessions_by_blob ON sessions (blob) WHERE state = 'open';
  `,
];

/**
 * Opens the index for this process alone, and creates or migrates it as needed.
 * @throws {Error} with one sentence when the file is damaged, in use, or written by a later version
 */
export function openDatabase(file: string): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(file);
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    const check = db.prepare('PRAGMA quick_check(1)').get();
    if (check?.quick_check !== 'ok') throw new Error(String(check?.quick_check));
    migrate(db);
    return db;
  } catch (cause) {
    db?.close();
    const SQLITE_BUSY = 5;
    const busy = (cause as { errcode?: number }).errcode === SQLITE_BUSY;
    const problem = busy ? 'is in use by another process' : 'is damaged or cannot be opened';
    throw new Error(`The index of the object store, ${file}, ${problem}.`, { cause });
  }
}

function migrate(db: DatabaseSync): void {
  const version = Number(db.prepare('PRAGMA user_version').get()?.user_version);
  if (version > MIGRATIONS.length) throw new Error('it was written by a later version');
  transaction(db, () => {
    for (const step of MIGRATIONS.slice(version)) db.exec(step);
    db.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
  });
}

const statements = new WeakMap<DatabaseSync, Map<string, StatementSync>>();

/** Returns a cached prepared statement. The cache never shrinks, so the set of SQL texts must be bounded. */
export function prepared(db: DatabaseSync, sql: string): StatementSync {
  let known = statements.get(db);
  if (known === undefined) statements.set(db, (known = new Map<string, StatementSync>()));
  let statement = known.get(sql);
  if (statement === undefined) known.set(sql, (statement = db.prepare(sql)));
  return statement;
}

/**
 * Runs `work` in a transaction that is on disk when this returns; if `work` throws, it is rolled back. `work` must be
 * synchronous, so that transactions never interleave.
 */
export function transaction<T>(db: DatabaseSync, work: () => T): T {
  prepared(db, 'BEGIN IMMEDIATE').run();
  try {
    const result = work();
    prepared(db, 'COMMIT').run();
    return result;
  } catch (error) {
    // On a full disk SQLite rolls back by itself, and a second ROLLBACK would hide the original error.
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}
