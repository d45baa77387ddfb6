import fs from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import type { ObjectRef, ObjectVersion } from '#libs/domain';
import { ApiError } from '../http/errors.js';
import { patchedMetadata, settableMetadata } from '../metadata.js';
import { checkObjectName } from '../names.js';
import type { Blobs } from './blobs.js';
import type { Buckets } from './buckets.js';
import { transaction } from './database.js';
import type { ObjectRows } from './object-rows.js';
import type { ObjectKey, Objects, StoredObject } from './objects.js';

/** Metadata of an object, by the field names of the JSON API. In a patch, null removes a field. */
export type MetadataPatch = Readonly<Record<string, unknown>>;

/** An object that {@link DamageControl.put} stores. */
export interface PutOptions {
  /** Default: now. It may be in the past. */
  readonly createdAt?: Date;
  /** Such as `{ contentType: 'image/png' }`. Default: none. */
  readonly metadata?: MetadataPatch;
}

/**
 * Changes of objects behind the service's back, as a failing disk or a careless administrator makes them. No method
 * publishes an event or respects a hold, a condition or a fault. Every method rejects with an `ApiError`: 404 if the
 * bucket or the object is missing, 400 for an invalid argument, 409 if another request changes the object meanwhile.
 */
export interface DamageControl {
  /**
   * Inverts the bits of one stored byte: the one in the middle, or at `offset`. Size, generation, crc32c and md5 stay,
   * so that the bytes no longer match the checksums.
   */
  flipByte(object: ObjectRef, offset?: number): Promise<void>;
  /**
   * Cuts the stored bytes off after `sizeBytes`. The reported size is the new one, so that a download is complete as
   * far as HTTP can tell; generation, crc32c and md5 stay those of the whole object.
   */
  truncate(object: ObjectRef, sizeBytes: number): Promise<void>;
  /** Removes the object and its bytes. */
  drop(object: ObjectRef): Promise<void>;
  /** Replaces the bytes as another writer would: with a new generation, matching checksums and equal metadata. */
  replace(object: ObjectRef, bytes: Uint8Array): Promise<ObjectVersion>;
  /** Changes metadata such as `contentType` or `contentEncoding`, with a new metageneration only. */
  setMetadata(object: ObjectRef, patch: MetadataPatch): Promise<void>;
  /** Stores an object, in place of an existing one, as if it had been uploaded at `createdAt`. */
  put(object: ObjectRef, bytes: Uint8Array, options?: PutOptions): Promise<ObjectVersion>;
}

const keyOf = ({ bucket, key }: ObjectRef): ObjectKey => ({ bucket, name: key });

const invalid = (message: string) => new ApiError('invalid', { message });

/** Each byte of a chunk belongs to the consumer alone, which frees it: hence the copy. */
async function* single(bytes: Uint8Array): AsyncGenerator<Buffer> {
  if (bytes.length > 0) yield await Promise.resolve(Buffer.from(bytes));
}

async function* flipped(chunks: AsyncIterable<Buffer>, offset: number): AsyncGenerator<Buffer> {
  let at = 0;
  for await (const chunk of chunks) {
    const index = offset - at;
    // The consumer frees the chunk, so its length is read before.
    at += chunk.length;
    if (index >= 0 && index < chunk.length) chunk[index] = ~(chunk[index] ?? 0);
    yield chunk;
  }
}

/**
 * Damages objects in a store. Files are never changed in place: several objects may share one by hard links, and a
 * running download reads it.
 */
export class Damage implements DamageControl {
  constructor(
    private readonly db: DatabaseSync,
    private readonly buckets: Buckets,
    private readonly objects: Objects,
    private readonly rows: ObjectRows,
    private readonly blobs: Blobs,
    private readonly now: () => Date,
  ) {}

  async flipByte(object: ObjectRef, offset?: number): Promise<void> {
    const stored = this.objects.get(keyOf(object));
    const at = offset ?? Math.floor(stored.size / 2);
    if (!Number.isSafeInteger(at) || at < 0 || at >= stored.size) {
      throw invalid(`offset must be a byte of the object, which has ${stored.size}.`);
    }
    await this.exchangeBytes(stored, flipped(this.read(stored, stored.size), at), stored.size);
  }

  async truncate(object: ObjectRef, sizeBytes: number): Promise<void> {
    const stored = this.objects.get(keyOf(object));
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || sizeBytes >= stored.size) {
      throw invalid(`sizeBytes must be less than the size of the object, ${stored.size}.`);
    }
    await this.exchangeBytes(stored, this.read(stored, sizeBytes), sizeBytes);
  }

  /** Called in the tick that read the row, so that the file stays readable when the object is deleted meanwhile. */
  private read(stored: StoredObject, sizeBytes: number): AsyncIterable<Buffer> {
    if (sizeBytes === 0) return single(Buffer.alloc(0));
    const fd = this.blobs.openSync(stored.blob);
    return fs.createReadStream('', { fd, end: sizeBytes - 1, highWaterMark: 1024 * 1024 });
  }

  /** Gives the object another file, and changes nothing else of it but the size. */
  private async exchangeBytes(
    stored: StoredObject,
    bytes: AsyncIterable<Buffer>,
    size: number,
  ): Promise<void> {
    const { id } = await this.blobs.write(bytes);
    try {
      transaction(this.db, () => {
        const current = this.rows.find(stored);
        if (current?.blob !== stored.blob) {
          throw new ApiError('superseded', { message: 'Another request changed the object meanwhile.' });
        }
        this.rows.insert({ ...current, blob: id, size });
      });
    } catch (error) {
      await this.blobs.remove(id);
      throw error;
    }
    await this.blobs.remove(stored.blob);
  }

  async drop(object: ObjectRef): Promise<void> {
    const { blob } = transaction(this.db, () => {
      const stored = this.objects.get(keyOf(object));
      this.rows.remove(stored);
      return stored;
    });
    await this.blobs.remove(blob);
  }

  async replace(object: ObjectRef, bytes: Uint8Array): Promise<ObjectVersion> {
    this.objects.get(keyOf(object));
    return this.write(object, bytes, this.now(), () => this.objects.get(keyOf(object)).metadata);
  }

  setMetadata(object: ObjectRef, patch: MetadataPatch): Promise<void> {
    const change = () => {
      const stored = this.objects.get(keyOf(object));
      const metadata = patchedMetadata(stored.metadata, patch);
      const metageneration = stored.metageneration + 1;
      this.rows.insert({ ...stored, metadata, metageneration, updatedAt: this.now().toISOString() });
    };
    return new Promise((resolve) => resolve(transaction(this.db, change)));
  }

  async put(object: ObjectRef, bytes: Uint8Array, options: PutOptions = {}): Promise<ObjectVersion> {
    const { createdAt = this.now(), metadata = {} } = options;
    checkObjectName(object.key);
    const { storageClass = 'STANDARD' } = this.buckets.get(object.bucket).settings;
    const settings = { storageClass, ...settableMetadata(metadata) };
    if (Number.isNaN(createdAt.getTime())) throw invalid('createdAt must be a time.');
    return this.write(object, bytes, createdAt, () => settings);
  }

  private async write(
    object: ObjectRef,
    bytes: Uint8Array,
    createdAt: Date,
    metadataOf: () => StoredObject['metadata'],
  ): Promise<ObjectVersion> {
    const { id, size, md5, crc32c } = await this.blobs.write(single(bytes));
    const time = createdAt.toISOString();
    try {
      const { generation, replaced } = transaction(this.db, () => {
        this.buckets.get(object.bucket);
        const metadata = metadataOf();
        const replaced = this.rows.find(keyOf(object));
        const generation = this.rows.nextGeneration();
        const hashes = { size, md5, crc32c, blob: id };
        const times = { createdAt: time, updatedAt: time };
        this.rows.insert({ ...keyOf(object), generation, metageneration: 1, ...hashes, metadata, ...times });
        return { generation, replaced };
      });
      if (replaced) this.blobs.discard(replaced.blob);
      return { bucket: object.bucket, key: object.key, version: String(generation) };
    } catch (error) {
      await this.blobs.remove(id);
      throw error;
    }
  }
}
