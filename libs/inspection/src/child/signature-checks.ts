import { ac3Frame, adtsFrame, hasFrames, mpegFrame } from './audio-frames.js';

const PACKET = 188;

/** Checks the sync bytes of an MPEG transport stream: ISO 13818-1, 2.4.3.2. Some files have 4 bytes before each one. */
const hasPackets = (head: Buffer): boolean =>
  [PACKET, PACKET + 4].some((step) => {
    for (let at = step - PACKET, packets = 0; packets < 5 && at < head.length; at += step, packets++) {
      if (head[at] !== 0x47) return false;
    }
    return true;
  });

/** Sizes of the DIB header in all versions of BMP; the header begins with its own size. */
const BITMAP_HEADERS = [12, 16, 40, 52, 56, 64, 108, 124];

const hasBitmapHeader = (head: Buffer): boolean =>
  head.length >= 18 && BITMAP_HEADERS.includes(head.readUInt32LE(14));

/** An image in an icon begins with the PNG signature or with a DIB header. */
const PNG_START = 0x474e5089;
const ICON_ENTRY_BYTES = 16;
const ICON_HEADER_BYTES = 6;

/**
 * Whether an icon has a directory, and its first image after the directory:
 * https://learn.microsoft.com/previous-versions/ms997538(v=msdn.10)
 */
function hasIconDirectory(head: Buffer, isCut: boolean): boolean {
  if (head.length < ICON_HEADER_BYTES + ICON_ENTRY_BYTES) return false;
  const count = head.readUInt16LE(4);
  const [bytes, offset] = [head.readUInt32LE(14), head.readUInt32LE(18)];
  if (count === 0 || bytes === 0 || offset < ICON_HEADER_BYTES + count * ICON_ENTRY_BYTES) return false;
  if (offset + 4 > head.length) return isCut;
  const start = head.readUInt32LE(offset);
  return start === PNG_START || BITMAP_HEADERS.includes(start);
}

/** The tag of a font's first table is printable: https://learn.microsoft.com/typography/opentype/spec/otff */
const hasFontTables = (head: Buffer): boolean => {
  const count = head.length < 28 ? 0 : head.readUInt16BE(4);
  return count > 0 && count < 256 && /^[\x20-\x7e]{4}$/.test(head.toString('latin1', 12, 16));
};

const isAt =
  (at: number, ...values: readonly string[]) =>
  (head: Buffer) =>
    values.some((value) => head.toString('latin1', at, at + value.length) === value);

/** Flags and maximal code width of `compress`: https://github.com/vapier/ncompress */
const hasCompressFlags = (head: Buffer) =>
  head[1] === 0xa0 || ((head[2]! & 0x60) === 0 && (head[2]! & 0x1f) >= 9 && (head[2]! & 0x1f) <= 16);

const hasArjHeader = (head: Buffer) => {
  const bytes = head.length < 7 ? 0 : head.readUInt16LE(2);
  return bytes >= 30 && bytes <= 2600 && head[4]! >= 30 && head[4]! <= bytes;
};

/** The name of the first entry in a binary cpio archive ends with a zero byte. */
const hasCpioName = (head: Buffer) => {
  const bytes = head.length < 27 ? 0 : head.readUInt16LE(20);
  return bytes > 0 && bytes < 4096 && head[26 + bytes - 1] === 0;
};

/** Bytes after the block size: the first block, or the end of an empty stream. https://sourceware.org/bzip2 */
const BZIP2_BLOCKS = ['1AY&SY', '\x17rE8P\x90'];

/**
 * Checks for types with weak signatures: two bytes, or a few that other formats share. One in some thousands of
 * encrypted or compressed files begins with one of these by chance, and must not be reported as an undecodable image.
 */
const SIGNATURE_CHECKS: Readonly<Record<string, (head: Buffer, isCut: boolean) => boolean>> = {
  'application/postscript': isAt(0, '%!PS'),
  // Every zlib stream begins with this signature; the signature of a real disk image is at its end.
  'application/x-apple-diskimage': () => false,
  'application/x-arj': hasArjHeader,
  'application/x-bzip2': isAt(4, ...BZIP2_BLOCKS),
  'application/x-compress': hasCompressFlags,
  'application/x-cpio': (head) => isAt(0, '0707')(head) || hasCpioName(head),
  'application/x-shockwave-flash': (head) => head[3]! > 0 && head[3]! < 64,
  'audio/aac': (head) => hasFrames(head, adtsFrame),
  'audio/aiff': isAt(8, 'AIFF', 'AIFC'),
  'audio/mpeg': (head) => head[0] !== 0xff || hasFrames(head, mpegFrame),
  'audio/vnd.dolby.dd-raw': (head) => hasFrames(head, ac3Frame),
  'font/ttf': hasFontTables,
  'image/bmp': hasBitmapHeader,
  'image/gif': isAt(0, 'GIF87a', 'GIF89a'),
  'image/x-icon': hasIconDirectory,
  'video/mp2t': hasPackets,
};

/**
 * Whether the bytes after a signature fit the type; true without a check for types with a strong signature.
 * @param isCut the file is longer than the head
 */
export const isSignatureConfirmed = (type: string, head: Buffer, isCut: boolean): boolean =>
  SIGNATURE_CHECKS[type]?.(head, isCut) ?? true;
