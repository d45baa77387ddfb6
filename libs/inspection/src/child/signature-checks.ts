import { ac3Frame, adtsFrame, hasFrames, mpegFrame } from './audio-frames.js';

const PACKET = 188;

/** Whether each packet of an MPEG transport stream begins as it has to: ISO 13818-1, 2.4.3.2; some have four bytes before each. */
const hasPackets = (head: Buffer): boolean =>
  [PACKET, PACKET + 4].some((step) => {
    for (let at = step - PACKET, packets = 0; packets < 5 && at < head.length; at += step, packets++) {
      if (head[at] !== 0x47) return false;
    }
    return true;
  });

/** The sizes that a bitmap's second header has had over the years, which it begins with. */
const BITMAP_HEADERS = [12, 16, 40, 52, 56, 64, 108, 124];

const hasBitmapHeader = (head: Buffer): boolean =>
  head.length >= 18 && BITMAP_HEADERS.includes(head.readUInt32LE(14));

/** A picture in an icon begins as PNG or as the header of a bitmap. */
const PNG_START = 0x474e5089;
const ICON_ENTRY_BYTES = 16;
const ICON_HEADER_BYTES = 6;

/** A directory of pictures, of which the first lies behind it: https://learn.microsoft.com/previous-versions/ms997538(v=msdn.10) */
function hasIconDirectory(head: Buffer): boolean {
  if (head.length < ICON_HEADER_BYTES + ICON_ENTRY_BYTES) return false;
  const count = head.readUInt16LE(4);
  const [bytes, offset] = [head.readUInt32LE(14), head.readUInt32LE(18)];
  if (count === 0 || bytes === 0 || offset < ICON_HEADER_BYTES + count * ICON_ENTRY_BYTES) return false;
  if (offset + 4 > head.length) return head.length >= CUT_BYTES;
  const start = head.readUInt32LE(offset);
  return start === PNG_START || BITMAP_HEADERS.includes(start);
}

/** The first of a font's tables has a name of printable characters: https://learn.microsoft.com/typography/opentype/spec/otff */
const hasFontTables = (head: Buffer): boolean => {
  const count = head.length < 28 ? 0 : head.readUInt16BE(4);
  return count > 0 && count < 256 && /^[\x20-\x7e]{4}$/.test(head.toString('latin1', 12, 16));
};

const startsWith =
  (...starts: readonly string[]) =>
  (head: Buffer) =>
    starts.some((start) => head.toString('latin1', 0, start.length) === start);

const isAt =
  (at: number, ...values: readonly string[]) =>
  (head: Buffer) =>
    values.some((value) => head.toString('latin1', at, at + value.length) === value);

/** The flags and the number of bits of `compress`: https://github.com/vapier/ncompress */
const hasCompressFlags = (head: Buffer) =>
  head[1] === 0xa0 || ((head[2]! & 0x60) === 0 && (head[2]! & 0x1f) >= 9 && (head[2]! & 0x1f) <= 16);

const hasArjHeader = (head: Buffer) => {
  const bytes = head.length < 7 ? 0 : head.readUInt16LE(2);
  return bytes >= 30 && bytes <= 2600 && head[4]! >= 30 && head[4]! <= bytes;
};

/** The first entry of an archive of cpio with binary headers has a name that ends with a zero. */
const hasCpioName = (head: Buffer) => {
  const bytes = head.length < 27 ? 0 : head.readUInt16LE(20);
  return bytes > 0 && bytes < 4096 && head[26 + bytes - 1] === 0;
};

/** What follows the size of blocks: the first block, or the end of an empty stream. https://sourceware.org/bzip2 */
const BZIP2_BLOCKS = ['1AY&SY', '\x17rE8P\x90'];

/** What is read of a file to find its type; a shorter head is all of it. */
export const CUT_BYTES = 65_536;

/**
 * Types whose signature says little: two bytes, or a few that other files have too. One in some thousands of encrypted or compressed
 * files begins like that by chance: it must not be taken for a picture that does not decode.
 */
const CORROBORATED: Readonly<Record<string, (head: Buffer) => boolean>> = {
  'application/postscript': startsWith('%!PS'),
  // Any data of zlib begin like that. What makes it a disk image stands at its end.
  'application/x-apple-diskimage': () => false,
  'application/x-arj': hasArjHeader,
  'application/x-bzip2': (head) => BZIP2_BLOCKS.some((block) => isAt(4, block)(head)),
  'application/x-compress': hasCompressFlags,
  'application/x-cpio': (head) => startsWith('0707')(head) || hasCpioName(head),
  'application/x-shockwave-flash': (head) => head[3]! > 0 && head[3]! < 64,
  'audio/aac': (head) => hasFrames(head, adtsFrame),
  'audio/aiff': isAt(8, 'AIFF', 'AIFC'),
  'audio/mpeg': (head) => head[0] !== 0xff || hasFrames(head, mpegFrame),
  'audio/vnd.dolby.dd-raw': (head) => hasFrames(head, ac3Frame),
  'font/ttf': hasFontTables,
  'image/bmp': hasBitmapHeader,
  'image/gif': startsWith('GIF87a', 'GIF89a'),
  'image/x-icon': hasIconDirectory,
  'video/mp2t': hasPackets,
};

/** Whether the bytes after a signature are as that type has them, where the signature alone says little. */
export const isSignatureConfirmed = (type: string, head: Buffer): boolean =>
  CORROBORATED[type]?.(head) ?? true;
