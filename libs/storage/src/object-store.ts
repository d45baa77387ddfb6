import type { Readable } from 'node:stream';
import type { ObjectRef, ObjectVersion } from '#libs/domain';

/** What a store knows of one object at one version. */
export interface ObjectStat extends ObjectVersion {
  readonly sizeBytes: number;
  /** Base64 of the big-endian CRC32C of the stored bytes; null where the store keeps none. */
  readonly crc32c: string | null;
  readonly contentType: string | null;
  /** Null unless the object claims to be encoded; such an object's readers may get other bytes than were stored. */
  readonly contentEncoding: string | null;
  readonly storageClass: string | null;
  readonly createdAt: Date;
}

/** What may be written over: nothing (`absent`), or one known version. */
export type ExpectedVersion = 'absent' | { readonly version: string };

export interface CopyRequest {
  readonly from: ObjectVersion;
  readonly to: ObjectRef;
  readonly expect: ExpectedVersion;
  /** The copy's metadata, whole: nothing of the source's is carried over. */
  readonly contentType: string;
  readonly cacheControl?: string;
}

/** Something small that is at hand whole: a variant of a picture. */
export interface WriteRequest {
  readonly to: ObjectRef;
  readonly body: Buffer;
  readonly expect: ExpectedVersion;
  /** The object's metadata, whole. */
  readonly contentType: string;
  readonly cacheControl?: string;
}

/** `changed`: the place was not as expected, and nothing was written. */
export type WriteResult =
  { readonly outcome: 'written'; readonly object: ObjectStat } | { readonly outcome: 'changed' };

/** `changed`: the destination was not as expected, and nothing was written. */
export type CopyResult =
  | { readonly outcome: 'copied'; readonly copy: ObjectStat }
  | { readonly outcome: 'changed' }
  | { readonly outcome: 'source-missing' };

export interface CallOptions {
  readonly signal?: AbortSignal;
}

/**
 * Object storage. Every call has a timeout. A store that is down, slow or rate-limiting is an `unavailable`
 * StowageError (reason STORAGE_UNAVAILABLE); what is not there is an answer, never an error.
 */
export abstract class ObjectStore {
  /** The object as it is now, or at the version named; null when it is not there. */
  abstract stat(object: ObjectRef | ObjectVersion, options?: CallOptions): Promise<ObjectStat | null>;

  /**
   * The bytes as they are stored (never decompressed) at exactly this version. Errors arrive on the stream:
   * `not-found` OBJECT_NOT_FOUND, `unavailable` STORAGE_UNAVAILABLE (also when the body ends early or stalls).
   */
  abstract read(object: ObjectVersion, options?: CallOptions): Readable;

  /** Copies inside the store, pinned to the source's version; repeatable. */
  abstract copy(request: CopyRequest, options?: CallOptions): Promise<CopyResult>;

  /**
   * Writes all of it or nothing, checked by its CRC32C on the way. When the answer got lost, a repeat meets its own work and
   * says `changed`.
   */
  abstract write(request: WriteRequest, options?: CallOptions): Promise<WriteResult>;

  /** Deletes this version and no other; false when it was not there (any more). */
  abstract delete(object: ObjectVersion, options?: CallOptions): Promise<boolean>;
}
