import type { Readable } from 'node:stream';
import type { ObjectRef, ObjectVersion } from '#libs/domain';

/** Metadata of one object at one version. */
export interface ObjectStat extends ObjectVersion {
  readonly sizeBytes: number;
  /** Base64 of the big-endian CRC32C of the stored bytes; null where the store keeps none. */
  readonly crc32c: string | null;
  readonly contentType: string | null;
  /** Null unless the object has a Content-Encoding, which may make readers receive other bytes than those stored. */
  readonly contentEncoding: string | null;
  readonly storageClass: string | null;
  readonly createdAt: Date;
}

/** Write precondition: the key has no object (`absent`), or the object is at this version. */
export type ExpectedVersion = 'absent' | { readonly version: string };

export interface CopyRequest {
  readonly from: ObjectVersion;
  readonly to: ObjectRef;
  readonly expect: ExpectedVersion;
  /** Content type of the copy; no metadata of the source is carried over. */
  readonly contentType: string;
  readonly cacheControl?: string;
}

/** A small object held completely in memory, e.g. an image variant. */
export interface WriteRequest {
  readonly to: ObjectRef;
  readonly body: Buffer;
  readonly expect: ExpectedVersion;
  /** Content type of the object, which gets no metadata beyond this request's. */
  readonly contentType: string;
  readonly cacheControl?: string;
}

/** `changed`: the precondition failed and storage wrote no object. */
export type WriteResult =
  { readonly outcome: 'written'; readonly object: ObjectStat } | { readonly outcome: 'changed' };

/** `changed`: the destination's precondition failed and storage wrote no object. */
export type CopyResult =
  | { readonly outcome: 'copied'; readonly copy: ObjectStat }
  | { readonly outcome: 'changed' }
  | { readonly outcome: 'source-missing' };

/** Objects whose keys begin with `prefix` and come after the key `after`, which need not be one of an object. */
export interface ListRange {
  readonly bucket: string;
  readonly prefix?: string;
  readonly after?: string;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
}

/**
 * Port to an object store. Every call has a timeout. A store that is down, slow or rate-limiting causes an
 * `unavailable` StowageError (reason STORAGE_UNAVAILABLE). A missing object is a normal result, except on the stream of
 * {@link read}.
 */
export abstract class ObjectStore {
  /** Returns the object's metadata, live or at the given version; null if the object does not exist. */
  abstract stat(object: ObjectRef | ObjectVersion, options?: CallOptions): Promise<ObjectStat | null>;

  /**
   * Streams the bytes as stored (never decompressed) at exactly this version. Errors arrive on the stream: `not-found`
   * OBJECT_NOT_FOUND, `unavailable` STORAGE_UNAVAILABLE (also if the body ends early or stalls).
   */
  abstract read(object: ObjectVersion, options?: CallOptions): Readable;

  /** Copies inside the store, pinned to the source's version. Safe to repeat. */
  abstract copy(request: CopyRequest, options?: CallOptions): Promise<CopyResult>;

  /**
   * Writes the whole object or nothing; storage verifies the CRC32C. If the answer is lost, a repeat may find its own
   * object and return `changed`.
   */
  abstract write(request: WriteRequest, options?: CallOptions): Promise<WriteResult>;

  /**
   * Returns a page of the live objects of a bucket, in the order of the UTF-8 bytes of their keys. An object that is
   * written or deleted meanwhile may be missing. A missing bucket causes the `unavailable` error and no empty page, by
   * which every object would seem to be lost.
   * @param limit objects of a page, at least 1; a shorter page is the last one
   * @throws {RangeError} if the limit is not a positive integer
   * @example
   * const LIMIT = 500;
   * let after: string | undefined;
   * do {
   *   const page = await store.list({ bucket, prefix: 'content/', after }, LIMIT);
   *   // …
   *   after = page.length < LIMIT ? undefined : page.at(-1)?.key;
   * } while (after !== undefined);
   */
  abstract list(range: ListRange, limit: number, options?: CallOptions): Promise<ObjectStat[]>;

  /** Deletes exactly this version; false if it does not exist. */
  abstract delete(object: ObjectVersion, options?: CallOptions): Promise<boolean>;
}
