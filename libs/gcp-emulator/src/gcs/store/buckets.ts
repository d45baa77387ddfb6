import type { DatabaseSync } from 'node:sqlite';
import { ApiError } from '../http/errors.js';
import type { CorsRule } from '../http/cors.js';
import { prepared, transaction } from './database.js';

/** A bucket as stored: the settings exactly as they were set, and the fields that the service adds. */
export interface StoredBucket {
  name: string;
  settings: BucketSettings;
  metageneration: number;
  createdAt: string;
  updatedAt: string;
}

/** Settings of a bucket resource. Unknown settings are stored and returned unchanged. */
export interface BucketSettings {
  cors?: CorsRule[];
  storageClass?: string;
  location?: string;
  [setting: string]: unknown;
}

interface BucketRow {
  name: string;
  settings: string;
  metageneration: number;
  created_at: string;
  updated_at: string;
}

const fromRow = (row: BucketRow): StoredBucket => ({
  name: row.name,
  settings: JSON.parse(row.settings) as BucketSettings,
  metageneration: row.metageneration,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

/** Buckets and their settings. */
export class Buckets {
  constructor(
    private readonly db: DatabaseSync,
    private readonly now: () => Date,
  ) {}

  find(name: string): StoredBucket | undefined {
    const row = prepared(this.db, 'SELECT * FROM buckets WHERE name = ?').get(name);
    return row && fromRow(row as unknown as BucketRow);
  }

  get(name: string): StoredBucket {
    const bucket = this.find(name);
    if (bucket === undefined) throw new ApiError('noSuchBucket');
    return bucket;
  }

  list(): StoredBucket[] {
    const rows = prepared(this.db, 'SELECT * FROM buckets ORDER BY name').all();
    return rows.map((row) => fromRow(row as unknown as BucketRow));
  }

  create(name: string, settings: BucketSettings): StoredBucket {
    const now = this.now().toISOString();
    return transaction(this.db, () => {
      if (this.find(name)) throw new ApiError('bucketExists');
      prepared(this.db, 'INSERT INTO buckets VALUES (?, ?, 1, ?, ?)').run(
        name,
        JSON.stringify(settings),
        now,
        now,
      );
      return this.get(name);
    });
  }

  /** `change` receives the bucket as it is at the time of writing, and may throw to reject. */
  update(name: string, change: (bucket: StoredBucket) => BucketSettings): StoredBucket {
    return transaction(this.db, () => {
      const settings = change(this.get(name));
      prepared(
        this.db,
        'UPDATE buckets SET settings = ?, updated_at = ?, metageneration = metageneration + 1 WHERE name = ?',
      ).run(JSON.stringify(settings), this.now().toISOString(), name);
      return this.get(name);
    });
  }

  delete(name: string, check: (bucket: StoredBucket) => void): void {
    transaction(this.db, () => {
      check(this.get(name));
      if (prepared(this.db, 'SELECT 1 FROM objects WHERE bucket = ? LIMIT 1').get(name)) {
        throw new ApiError('bucketNotEmpty');
      }
      prepared(this.db, 'DELETE FROM notifications WHERE bucket = ?').run(name);
      prepared(this.db, 'DELETE FROM buckets WHERE name = ?').run(name);
    });
  }
}
