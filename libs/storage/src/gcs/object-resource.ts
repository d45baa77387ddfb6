import type { FileMetadata } from '@google-cloud/storage';
import type { ObjectStat } from '../object-store.js';
import { NoAnswerError } from './storage-error.js';

/** The fields that are requested of an object resource. */
export const FIELDS =
  'bucket,name,generation,size,crc32c,contentType,contentEncoding,storageClass,timeCreated';

/** Validates the resource: the client accepts any answer, even a proxy's HTML page. */
export function statOf(resource: FileMetadata | undefined): ObjectStat {
  const { bucket, name, generation, size, timeCreated } = resource ?? {};
  if (!bucket || !name || !generation || size === undefined || !timeCreated) {
    throw new NoAnswerError('Storage answered with something other than an object resource');
  }
  return {
    bucket,
    key: name,
    version: String(generation),
    sizeBytes: Number(size),
    crc32c: resource?.crc32c ?? null,
    contentType: resource?.contentType || null,
    contentEncoding: resource?.contentEncoding || null,
    storageClass: resource?.storageClass ?? null,
    createdAt: new Date(timeCreated),
  };
}
