import { ApiError } from './http/errors.js';
import type { Exchange } from './http/exchange.js';
import { checkConditions, type Conditions } from './http/preconditions.js';
import type { StagedBlob, WriteLimits } from './store/blobs.js';
import type { Check, ObjectKey, ObjectMetadata, StoredObject } from './store/objects.js';
import type { Store } from './store/store.js';

/** Hashes that the client claims for its bytes. */
export interface Digests {
  /** base64 */
  md5?: string;
  /** base64, big-endian */
  crc32c?: string;
  /** hex */
  sha256?: string;
}

/** One upload, through either API. */
export interface Upload {
  key: ObjectKey;
  metadata: ObjectMetadata;
  digests: Digests;
  /** Allowed size in bytes, both ends inclusive. */
  size?: { min: number; max: number };
  /** Conditions on the current object. They are checked before the bytes are read and again at the commit. */
  conditions: Conditions;
}

export const checkOf =
  ({ conditions }: Pick<Upload, 'conditions'>): Check =>
  (current) =>
    checkConditions(conditions, current);

/** Parses `x-goog-hash`, which may name both hashes in either order. */
export function parseHashHeader(value: string | undefined): Digests {
  const digests: Digests = {};
  for (const part of (value ?? '').split(',')) {
    const [, name, hash] = /^\s*(md5|crc32c)=(\S+)\s*$/.exec(part) ?? [];
    if (hash !== undefined && name === 'md5') digests.md5 = hash;
    if (hash !== undefined && name === 'crc32c') digests.crc32c = hash;
  }
  return digests;
}

/**
 * Checks the minimum size and the hashes, which are known only after the last byte.
 * @throws {ApiError} tooSmall, badDigest or crcMismatch
 */
export function checkContent(blob: StagedBlob, { size, digests }: Upload): void {
  if (blob.size < (size?.min ?? 0)) throw new ApiError('tooSmall');
  checkDigests(blob, digests);
}

/** Reads both headers that carry a hash; `Content-MD5` takes precedence when both carry an MD5. */
export function parseDigestHeaders(exchange: Exchange): Digests {
  const md5 = exchange.header('content-md5');
  return { ...parseHashHeader(exchange.header('x-goog-hash')), ...(md5 !== undefined && { md5 }) };
}

function checkDigests(blob: StagedBlob, { md5, crc32c, sha256 }: Digests): void {
  if (md5 !== undefined && md5 !== blob.md5) {
    throw new ApiError('badDigest', {
      details: `The MD5 calculated for the uploaded content was '${blob.md5}'.`,
    });
  }
  if (crc32c !== undefined && crc32c !== blob.crc32c) {
    throw new ApiError('crcMismatch', {
      details: `The CRC32C calculated for the uploaded content was '${blob.crc32c}'.`,
    });
  }
  if (sha256 !== undefined && sha256 !== blob.sha256) {
    throw new ApiError('badDigest', { message: 'The SHA-256 you signed did not match what we received.' });
  }
}

/** Rejects an upload early, before any byte is read, when its bucket is missing or its conditions do not hold. */
export function checkBeforeUpload(store: Store, upload: Pick<Upload, 'key' | 'conditions'>): void {
  store.buckets.get(upload.key.bucket);
  checkOf(upload)(store.objects.find(upload.key));
}

/** Streams the bytes to disk and commits them as the object. A failed upload leaves no file behind. */
export async function receive(
  store: Store,
  upload: Upload,
  source: AsyncIterable<Buffer>,
): Promise<StoredObject> {
  const limits: WriteLimits = { max: upload.size?.max, sha256: upload.digests.sha256 !== undefined };
  const blob = await store.blobs.write(source, limits);
  try {
    checkContent(blob, upload);
  } catch (error) {
    await store.blobs.remove(blob.id);
    throw error;
  }
  return store.objects.put(upload.key, blob, upload.metadata, checkOf(upload));
}
