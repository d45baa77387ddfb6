import type { DatabaseSync } from 'node:sqlite';
import { ApiError } from '../http/errors.js';
import type { Blobs, StagedBlob } from './blobs.js';
import type { Buckets } from './buckets.js';
import { transaction } from './database.js';
import { GroupCommit } from './group-commit.js';
import type { NameRange, ObjectRows } from './object-rows.js';
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

const isHeld = ({ metadata }: StoredObject) =>
  metadata.temporaryHold === true || metadata.eventBasedHold === true;

/** Objects: a row in the index and the file it names. Every write and its events share one transaction. */
export class Objects {
  private readonly group: GroupCommit;

  constructor(
    private readonly db: DatabaseSync,
    private readonly rows: ObjectRows,
    private readonly blobs: Blobs,
    private readonly buckets: Buckets,
    private readonly outbox: Outbox,
    private readonly now: () => Date,
  ) {
    this.group = new GroupCommit(db);
  }

  find(key: ObjectKey): StoredObject | undefined {
    return this.rows.find(key);
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

  /** The objects of a range of names. A caller that stops early reads no further row. */
  scan(range: NameRange): Generator<StoredObject, void, undefined> {
    return this.rows.scan(range);
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
    const object = { ...key, generation: this.rows.nextGeneration(), metageneration: 1, size, md5, crc32c };
    const stored = { ...object, blob: blob.id, metadata, createdAt: now, updatedAt: now };
    this.rows.insert(stored);
    if (replaced) {
      this.outbox.enqueue('OBJECT_DELETE', replaced, { overwrittenByGeneration: stored.generation });
    }
    this.outbox.enqueue('OBJECT_FINALIZE', stored, { overwroteGeneration: replaced?.generation });
    return { stored, replaced };
  }

  /** Called after the commit. */
  private written({ stored, replaced }: Written): StoredObject {
    this.outbox.wake();
    if (replaced) this.blobs.discard(replaced.blob);
    return stored;
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
      this.rows.insert(stored);
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
      this.rows.remove(key);
      this.outbox.enqueue('OBJECT_DELETE', current);
      return current;
    });
    this.outbox.wake();
    this.blobs.discard(deleted.blob);
  }
}
