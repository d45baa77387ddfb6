/**
 * The test file that every antivirus reports (eicar.org, "Anti-Malware Testfile"), 68 bytes. Put together here, so that
 * our source is no hit itself.
 */
export const EICAR = Buffer.from(
  ['X5O!P%@AP[4\\PZX54(P^)7CC)7}', 'EICAR-STANDARD-ANTIVIRUS-TEST-FILE!', 'H+H*'].join('$'),
  'latin1',
);

/** A longer file is something else, whatever it starts with. */
export const EICAR_MAX_BYTES = 128;
const WHITE_SPACE = new Set(Buffer.from(' \t\n\r\x1a', 'latin1'));

/** Whether a content that begins so is an EICAR test file: the 68 bytes, and white space up to 128. One more is needed to tell. */
export const isEicar = (content: Buffer): boolean =>
  content.length <= EICAR_MAX_BYTES &&
  content.subarray(0, EICAR.length).equals(EICAR) &&
  content.subarray(EICAR.length).every((byte) => WHITE_SPACE.has(byte));
