import { invalid } from './errors.js';

const SHA256 = /^[0-9a-f]{64}$/i;
const CRC32C = /^[A-Za-z0-9+/]{5}[AQgw]==$/;

/** In lower case. @throws StowageError invalid CHECKSUM_INVALID unless 64 hexadecimal characters, in either case */
export function parseSha256(text: string, path?: readonly (string | number)[]): string {
  if (SHA256.test(text)) return text.toLowerCase();
  throw invalid('CHECKSUM_INVALID', 'checksumSha256 is 64 hexadecimal characters.', path);
}

/** @throws StowageError invalid CRC32C_INVALID unless the Base64 of 4 bytes, as storage writes it */
export function parseCrc32c(text: string, path?: readonly (string | number)[]): string {
  if (CRC32C.test(text)) return text;
  throw invalid('CRC32C_INVALID', 'crc32c is the Base64 of the 4 bytes of the CRC32C, big-endian.', path);
}
