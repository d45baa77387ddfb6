import { ApiError } from './http/errors.js';
import type { Exchange } from './http/exchange.js';
import { checkConditions, type Conditions } from './http/preconditions.js';
import type { StagedBlob, WriteLimits } from './store/blobs.js';
import type { Check, ObjectKey, ObjectMetadata, StoredObject } from './store/objects.js';
import type { Store } from './store/store.js';

/** Hashes the sender says its bytes have. */
export interface Digests {
  /** base64 */
  md5?: string;
  /** base64, big-endian */
  crc32c?: string;
  /** hex */
  sha256?: string;
}

/** One upload, whichever API it came by. */
export interface Upload {
  key: ObjectKey;
  metadata: ObjectMetadata;
  digests: Digests;
  /** Bytes, inclusive. */
  size?: { min: number; max: number };
  /** What must hold for the object that is there, before the bytes are taken and again when they are committed. */
  conditions: Conditions;
}

export const checkOf =
  ({ conditions }: Pick<Upload, 'conditions'>): Check =>
  (current) =>
    checkConditions(conditions, current);

/** Reads `x-goog-hash`, which may name both hashes in either order. */
export function parseHashHeader(value: string | undefined): Digests {
  const digests: Digests = {};
  for (const part of (value ?? '').split(',')) {
    const [, name, hash] = /^\s*(md5|crc32c)=(\S+)\s*$/.exec(part) ?? [];
    if (hash !== undefined && name === 'md5') digests.md5 = hash;
    if (hash !== undefined && name === 'crc32c') digests.crc32c = hash;
  }
  return digests;
}

/** What can only be told when all bytes are there. */
export function checkContent(blob: StagedBlob, { size, digests }: Upload): void {
  if (blob.size < (size?.min ?? 0)) throw new ApiError('tooSmall');
  checkDigests(blob, digests);
}

/** Both ways to send a hash; `Content-MD5` decides where both name an MD5. */
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

/** Refuses what can be refused before any byte was read. */
export function checkBeforeUpload(store: Store, upload: Pick<Upload, 'key' | 'conditions'>): void {
  store.buckets.get(upload.key.bucket);
  checkOf(upload)(store.objects.find(upload.key));
}

/** Streams the bytes to disk and makes them the object, or leaves nothing behind. */
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
