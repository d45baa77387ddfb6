/**
 * The 68-byte test file that every antivirus detects (eicar.org, "Anti-Malware Testfile"). Assembled at run time, so
 * that scanners do not detect this source file.
 */
export const EICAR = Buffer.from(
  ['X5O!P%@AP[4\\PZX54(P^)7CC)7}', 'EICAR-STANDARD-ANTIVIRUS-TEST-FILE!', 'H+H*'].join('$'),
  'latin1',
);

/** Longer files are not the EICAR test file. */
export const EICAR_MAX_BYTES = 128;
const WHITE_SPACE = new Set(Buffer.from(' \t\n\r\x1a', 'latin1'));

/**
 * Whether a content is an EICAR test file: the 68 bytes, then white space up to 128 bytes in total.
 * @param content the whole content, or at least its first 129 bytes
 */
export const isEicar = (content: Buffer): boolean =>
  content.length <= EICAR_MAX_BYTES &&
  content.subarray(0, EICAR.length).equals(EICAR) &&
  content.subarray(EICAR.length).every((byte) => WHITE_SPACE.has(byte));
