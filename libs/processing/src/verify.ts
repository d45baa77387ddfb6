import type { Asset } from '#libs/assets';
import type { Digest } from '#libs/content';
import { isAllowedType, type RejectionCode, resolveMediaType, StowageError } from '#libs/domain';
import type { ObjectStat } from '#libs/storage';

export const rejected = (code: RejectionCode, message: string) => new StowageError('rejected', code, message);

/** Verifies size and encoding of the object as storage reports them, before any byte is read. @throws StowageError rejected */
export function verifyStat(asset: Asset, stat: ObjectStat): void {
  if (stat.sizeBytes !== asset.sizeBytes) {
    throw rejected(
      'SIZE_MISMATCH',
      `${asset.sizeBytes} bytes were declared, ${stat.sizeBytes} were uploaded.`,
    );
  }
  if (stat.contentEncoding !== null && stat.contentEncoding !== '') {
    throw rejected('CHECKSUM_MISMATCH', 'The bytes were sent with a Content-Encoding. Send them without it.');
  }
}

/** Verifies the bytes that were read: size, CRC32C of storage, declared CRC32C, SHA-256. @throws StowageError rejected */
export function verifyBytes(asset: Asset, stat: ObjectStat, digest: Digest): void {
  if (digest.sizeBytes !== asset.sizeBytes) {
    throw rejected('SIZE_MISMATCH', `${asset.sizeBytes} bytes were declared, ${digest.sizeBytes} were read.`);
  }
  if (stat.crc32c !== null && stat.crc32c !== digest.crc32c) {
    throw rejected(
      'CHECKSUM_MISMATCH',
      'The CRC32C of the bytes that were read is not that of the stored object.',
    );
  }
  // Storage does not verify the declared CRC32C of resumable uploads.
  if (asset.crc32c !== null && asset.crc32c !== digest.crc32c) {
    throw rejected('CHECKSUM_MISMATCH', 'The CRC32C of the bytes is not the declared one.');
  }
  if (digest.sha256 !== asset.checksumSha256) {
    throw rejected('CHECKSUM_MISMATCH', 'The SHA-256 of the bytes is not the declared one.');
  }
}

/**
 * The final media type of the asset.
 * @param detected type detected from the bytes; null for none
 * @throws StowageError rejected TYPE_MISMATCH, TYPE_NOT_ALLOWED
 */
export function verifyType(asset: Asset, detected: string | null, allowedTypes: readonly string[]): string {
  const mediaType = resolveMediaType(asset.mimeType, detected);
  if (mediaType === null) {
    throw rejected(
      'TYPE_MISMATCH',
      `${asset.mimeType} was declared, the bytes are ${detected ?? 'of no known type'}.`,
    );
  }
  if (!isAllowedType(mediaType, allowedTypes)) {
    throw rejected('TYPE_NOT_ALLOWED', `Files of the type ${mediaType} are not accepted.`);
  }
  return mediaType;
}
