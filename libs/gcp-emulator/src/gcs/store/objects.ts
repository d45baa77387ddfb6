import type { DatabaseSync } from 'node:sqlite';
import type { SQLInputValue } from 'node:sqlite';
import { ApiError } from '../http/errors.js';
import type { Blobs, StagedBlob } from './blobs.js';
import type { Buckets } from './buckets.js';
import { prepared, transaction } from './database.js';
import { GroupCommit } from './group-commit.js';
import type { Outbox } from './outbox.js';

/** Fields of an object that a writer may set; the service sets all others. */
export interface ObjectMetadata {
  storageClass: string;
  contentType?: string;
  contentEncoding?: string;
  contentDisposition?: string;
  contentLanguage?: string;
  cacheControl?: string;
  customTime?: string;
  temporaryHold?: boolean;
  eventBasedHold?: boolean;
  metadata?: Record<string, string>;
}

/** The live generation of an object. Size in bytes, hashes in base64, times in ISO 8601. */
export interface StoredObject {
  bucket: string;
  name: string;
  generation: number;
  metageneration: number;
  size: number;
  md5: string;
  crc32c: string;
  blob: string;
  metadata: ObjectMetadata;
  createdAt: string;
  updatedAt: string;
}

export interface ObjectKey {
  bucket: string;
  name: string;
}

/** Receives the current object at the time of writing, and throws to reject the write. */
export type Check = (current: StoredObject | undefined) => void;

interface Written {
  readonly stored: StoredObject;
  readonly replaced: StoredObject | undefined;
}

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

const isHeld = ({ metadata }: StoredObject) =>
  metadata.temporaryHold === true || metadata.eventBasedHold === true;

/** Objects: a row in the index and the file it names. Every write and its events share one transaction. */
export class Objects {
  private readonly group: GroupCommit;

  constructor(
    private readonly db: DatabaseSync,
    private readonly blobs: Blobs,
    private readonly buckets: Buckets,
    private readonly outbox: Outbox,
    private readonly now: () => Date,
    private readonly onError: (error: unknown) => void,
  ) {
    this.group = new GroupCommit(db);
  }

  private row(where: string, ...values: SQLInputValue[]): StoredObject | undefined {
    const row = prepared(this.db, `SELECT * FROM objects WHERE ${where} ORDER BY name LIMIT 1`).get(
      ...values,
    );
    return row && fromRow(row as unknown as ObjectRow);
  }

  find({ bucket, name }: ObjectKey): StoredObject | undefined {
    return this.row('bucket = ? AND name = ?', bucket, name);
  }

  /**
   * Returns the live object.
   * @throws {ApiError} noSuchBucket or noSuchObject, the latter also for a `generation` that is not the live one
   */
  get(key: ObjectKey, generation?: number): StoredObject {
    this.buckets.get(key.bucket);
    const object = this.find(key);
    if (object === undefined || (generation !== undefined && object.generation !== generation)) {
      throw new ApiError('noSuchObject', {
        message: `No such object: ${key.bucket}/${key.name}`,
      });
    }
    return object;
  }

  /** The first object at a name (after it when `exclusive`) and before `end`, in the order of UTF-8 bytes. */
  next(bucket: string, from: string, exclusive: boolean, end: string | null): StoredObject | undefined {
    const where = `bucket = ?1 AND name ${exclusive ? '>' : '>='} ?2 AND (?3 IS NULL OR name < ?3)`;
    return this.row(where, bucket, from, end);
  }

  /** Commits staged bytes as the object of that name. If the write is rejected, the bytes are removed. */
  async put(key: ObjectKey, blob: StagedBlob, metadata: ObjectMetadata, check: Check): Promise<StoredObject> {
    try {
      return this.written(await this.group.run(() => this.write(key, blob, metadata, check)));
    } catch (error) {
      await this.blobs.remove(blob.id);
      throw error;
    }
  }

  /**
   * Commits bytes as the object of that name and runs `sameTransaction` in the same transaction. If the write is
   * rejected, the bytes are kept.
   */
  commit(
    key: ObjectKey,
    blob: StagedBlob,
    metadata: ObjectMetadata,
    check: Check,
    sameTransaction: (stored: StoredObject) => void = () => undefined,
  ): StoredObject {
    return this.written(
      transaction(this.db, () => {
        const written = this.write(key, blob, metadata, check);
        sameTransaction(written.stored);
        return written;
      }),
    );
  }

  /** Must run inside a transaction. */
  private write(key: ObjectKey, blob: StagedBlob, metadata: ObjectMetadata, check: Check): Written {
    this.buckets.get(key.bucket);
    const replaced = this.find(key);
    check(replaced);
    if (replaced && isHeld(replaced)) throw new ApiError('held');
    const now = this.now().toISOString();
    const { size, md5, crc32c } = blob;
    const object = { ...key, generation: this.nextGeneration(), metageneration: 1, size, md5, crc32c };
    const stored = { ...object, blob: blob.id, metadata, createdAt: now, updatedAt: now };
    this.insert(stored);
    if (replaced) {
      this.outbox.enqueue('OBJECT_DELETE', replaced, { overwrittenByGeneration: stored.generation });
    }
    this.outbox.enqueue('OBJECT_FINALIZE', stored, { overwroteGeneration: replaced?.generation });
    return { stored, replaced };
  }

  /** Called after the commit. */
  private written({ stored, replaced }: Written): StoredObject {
    this.outbox.wake();
    if (replaced) this.discard(replaced);
    return stored;
  }

  private insert(object: StoredObject): void {
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

  /** Generations are microseconds, as in GCS, but strictly increasing even when the clock goes back. */
  private nextGeneration(): number {
    const row = prepared(
      this.db,
      'UPDATE generation_clock SET latest = max(latest + 1, ?) RETURNING latest',
    ).get(this.now().getTime() * 1000);
    return Number(row?.latest);
  }

  /** `change` receives the object as it is at the time of writing and returns its new metadata, or throws to reject. */
  update(
    key: ObjectKey,
    generation: number | undefined,
    change: (object: StoredObject) => ObjectMetadata,
  ): StoredObject {
    const stored = transaction(this.db, () => {
      const current = this.get(key, generation);
      const stored = {
        ...current,
        metadata: change(current),
        metageneration: current.metageneration + 1,
        updatedAt: this.now().toISOString(),
      };
      this.insert(stored);
      this.outbox.enqueue('OBJECT_METADATA_UPDATE', stored);
      return stored;
    });
    this.outbox.wake();
    return stored;
  }

  delete(key: ObjectKey, generation: number | undefined, check: Check): void {
    const deleted = transaction(this.db, () => {
      const current = this.get(key, generation);
      check(current);
      if (isHeld(current)) throw new ApiError('held');
      prepared(this.db, 'DELETE FROM objects WHERE bucket = ? AND name = ?').run(key.bucket, key.name);
      this.outbox.enqueue('OBJECT_DELETE', current);
      return current;
    });
    this.outbox.wake();
    this.discard(deleted);
  }

  /** Best effort: a file that remains is removed the next time the store is opened. */
  private discard(object: StoredObject): void {
    this.blobs.remove(object.blob).catch(this.onError);
  }
}
