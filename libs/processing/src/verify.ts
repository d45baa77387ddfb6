import type { Asset } from '#libs/assets';
import type { Digest } from '#libs/content';
import { isAllowedType, type RejectionCode, settleMediaType, StowageError } from '#libs/domain';
import type { ObjectStat } from '#libs/storage';

export const rejected = (code: RejectionCode, message: string) => new StowageError('rejected', code, message);

/** What storage says of the object, before a byte is read. @throws StowageError rejected */
export function verifyStat(asset: Asset, stat: ObjectStat): void {
  if (stat.sizeBytes !== asset.sizeBytes) {
    throw rejected('SIZE_MISMATCH', `${asset.sizeBytes} bytes were declared, ${stat.sizeBytes} arrived.`);
  }
  if (stat.contentEncoding !== null && stat.contentEncoding !== '') {
    throw rejected(
      'CHECKSUM_MISMATCH',
      'The bytes were sent with a Content-Encoding, so readers would get others.',
    );
  }
}

/** What reading found, in the order: size, crc32c against storage and declaration, SHA-256. @throws StowageError rejected */
export function verifyBytes(asset: Asset, stat: ObjectStat, digest: Digest): void {
  if (digest.sizeBytes !== asset.sizeBytes) {
    throw rejected('SIZE_MISMATCH', `${asset.sizeBytes} bytes were declared, ${digest.sizeBytes} were read.`);
  }
  if (stat.crc32c !== null && stat.crc32c !== digest.crc32c) {
    throw rejected('CHECKSUM_MISMATCH', 'What was read is not what storage holds.');
  }
  // Of an upload in pieces storage compares nothing.
  if (asset.crc32c !== null && asset.crc32c !== digest.crc32c) {
    throw rejected('CHECKSUM_MISMATCH', 'The CRC32C of the bytes is not the declared one.');
  }
  if (digest.sha256 !== asset.checksumSha256) {
    throw rejected('CHECKSUM_MISMATCH', 'The SHA-256 of the bytes is not the declared one.');
  }
}

/** The asset's type from now on. @throws StowageError rejected TYPE_MISMATCH, TYPE_NOT_ALLOWED */
export function verifyType(asset: Asset, detected: string | null, allowedTypes: readonly string[]): string {
  const settled = settleMediaType(asset.mimeType, detected);
  if (settled === null) {
    throw rejected(
      'TYPE_MISMATCH',
      `${asset.mimeType} was declared, the bytes are ${detected ?? 'of no known type'}.`,
    );
  }
  if (!isAllowedType(settled, allowedTypes)) {
    throw rejected('TYPE_NOT_ALLOWED', `Files of the type ${settled} are not stored here.`);
  }
  return settled;
}
