import type { DatabaseSync } from 'node:sqlite';
import { prepared } from './database.js';
import type { ObjectKey, ObjectMetadata, StoredObject } from './objects.js';

interface ObjectRow {
  bucket: string;
  name: string;
  generation: number;
  metageneration: number;
  size: number;
  md5: string;
  crc32c: string;
  blob: string;
  metadata: string;
  created_at: string;
  updated_at: string;
}

const fromRow = ({ created_at, updated_at, metadata, ...row }: ObjectRow): StoredObject => ({
  ...row,
  metadata: JSON.parse(metadata) as ObjectMetadata,
  createdAt: created_at,
  updatedAt: updated_at,
});

/** Names of a bucket from `from` on (after it when `exclusive`) and before `end`, in the order of UTF-8 bytes. */
export interface NameRange {
  bucket: string;
  from: string;
  exclusive: boolean;
  end?: string;
}

/** The rows of objects. No method checks anything or records an event. */
export class ObjectRows {
  constructor(
    private readonly db: DatabaseSync,
    private readonly now: () => Date,
  ) {}

  find({ bucket, name }: ObjectKey): StoredObject | undefined {
    const row = prepared(this.db, 'SELECT * FROM objects WHERE bucket = ? AND name = ?').get(bucket, name);
    return row && fromRow(row as unknown as ObjectRow);
  }

  /**
   * The objects of a range, by one statement that reads no row before it is asked for. Scans share the statement, so a
   * scan must end, or be left by its loop, in the tick that started it.
   */
  *scan({ bucket, from, exclusive, end }: NameRange): Generator<StoredObject, void, undefined> {
    const statement = prepared(
      this.db,
      `SELECT * FROM objects
         WHERE bucket = ?1 AND name ${exclusive ? '>' : '>='} ?2 AND (?3 IS NULL OR name < ?3) ORDER BY name`,
    );
    for (const row of statement.iterate(bucket, from, end ?? null))
      yield fromRow(row as unknown as ObjectRow);
  }

  /** Inserts the object, or replaces the one of that name. */
  insert(object: StoredObject): void {
    prepared(this.db, 'INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)').run(
      object.bucket,
      object.name,
      object.generation,
      object.metageneration,
      object.size,
      object.md5,
      object.crc32c,
      object.blob,
      JSON.stringify(object.metadata),
      object.createdAt,
      object.updatedAt,
    );
  }

  remove({ bucket, name }: ObjectKey): void {
    prepared(this.db, 'DELETE FROM objects WHERE bucket = ? AND name = ?').run(bucket, name);
  }

  /** Generations are microseconds, as in GCS, but strictly increasing even when the clock goes back. */
  nextGeneration(): number {
    const row = prepared(
      this.db,
      'UPDATE generation_clock SET latest = max(latest + 1, ?) RETURNING latest',
    ).get(this.now().getTime() * 1000);
    return Number(row?.latest);
  }
}
