import { invalid } from './errors.js';

const SHA256 = /^[0-9a-f]{64}$/i;
const CRC32C = /^[A-Za-z0-9+/]{5}[AQgw]==$/;

/**
 * Validates a SHA-256 of 64 hexadecimal characters in either case.
 * @returns the checksum in lower case
 * @throws StowageError invalid CHECKSUM_INVALID
 */
export function parseSha256(text: string, path?: readonly (string | number)[]): string {
  if (SHA256.test(text)) return text.toLowerCase();
  throw invalid('CHECKSUM_INVALID', 'checksumSha256 must be 64 hexadecimal characters.', path);
}

/**
 * Validates a CRC32C in the form that storage uses: Base64 of the 4 bytes.
 * @throws StowageError invalid CRC32C_INVALID
 */
export function parseCrc32c(text: string, path?: readonly (string | number)[]): string {
  if (CRC32C.test(text)) return text;
  throw invalid('CRC32C_INVALID', 'crc32c must be the Base64 of the 4 big-endian bytes of the CRC32C.', path);
}
