import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { Blobs } from './blobs.js';
import { Buckets } from './buckets.js';
import { Damage } from './damage.js';
import { openDatabase } from './database.js';
import { ObjectRows } from './object-rows.js';
import { Objects } from './objects.js';
import { Outbox } from './outbox.js';
import { Sessions } from './sessions.js';

/**
 * Contents of a data folder: `index.sqlite`, the files in `objects/` (also those of unfinished resumable uploads), and
 * unfinished copies in `tmp/`.
 */
export interface Store {
  buckets: Buckets;
  objects: Objects;
  blobs: Blobs;
  sessions: Sessions;
  outbox: Outbox;
  damage: Damage;
  baseUrl: () => string;
  now: () => Date;
  close(): void;
}

/** Options of {@link openStore}. */
export interface StoreOptions {
  dataDir: string;
  /** Base URL of the server, for the links in resources. */
  baseUrl: () => string;
  now: () => Date;
  onError: (error: unknown) => void;
}

/** Opens a data folder for this process alone, and removes files that a killed process left behind. */
export async function openStore({ dataDir, baseUrl, now, onError }: StoreOptions): Promise<Store> {
  await mkdir(dataDir, { recursive: true });
  const db = openDatabase(path.join(dataDir, 'index.sqlite'));
  try {
    const known = db.prepare(
      `SELECT 1 FROM objects WHERE blob = ?1
       UNION ALL SELECT 1 FROM sessions WHERE blob = ?1 AND state = 'open'`,
    );
    const blobs = await Blobs.open(dataDir, (id) => known.get(id) !== undefined, onError);
    const buckets = new Buckets(db, now);
    const outbox = new Outbox(db, now, baseUrl);
    const rows = new ObjectRows(db, now);
    const objects = new Objects(db, rows, blobs, buckets, outbox, now);
    const sessions = new Sessions(db, now);
    const damage = new Damage(db, buckets, objects, rows, blobs, now);
    return { buckets, objects, blobs, sessions, outbox, damage, baseUrl, now, close: () => db.close() };
  } catch (error) {
    db.close();
    throw error;
  }
}
