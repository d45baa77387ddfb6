import { type Box, boxAt, boxesIn } from '../iso-boxes.js';
import type { ReadAt } from '../read-at.js';
import { APPLE_CHUNK, jpegFrame } from './declared-size.js';
import { type Fields, TiffReader } from './tiff-fields.js';

/*
 * What the headers of a picture say of its pixels, for files that the decoder refuses: a layout that it does not know is no damage of
 * the file.
 */

type Check = (at: ReadAt, sizeBytes: number) => Promise<boolean>;

const TAIL_BYTES = 65_536;

/** Whether a mark stands near the end of a file, where few bytes that belong to nothing may follow it. */
async function endsWith(mark: Buffer, at: ReadAt, sizeBytes: number): Promise<boolean> {
  const start = Math.max(0, sizeBytes - TAIL_BYTES);
  return (await at(start, sizeBytes - start)).includes(mark);
}

/** TIFF 6.0, sections 3, 15 and 22: offsets of strips, of tiles, or of a whole JPEG, and their lengths. */
const EXTENTS = [
  [273, 279],
  [324, 325],
  [513, 514],
] as const;
const SUB_DIRECTORIES = 330;
const MAX_DIRECTORIES = 8;
const MAX_EXTENTS = 65_536;

/** Whether all the pixel data of the first page, or of the pictures in its sub-directories, lie in the file; and there are some. */
const tiff: Check = async (at, sizeBytes) => {
  const reader = await TiffReader.open(at);
  if (reader === null) return false;
  const first = await reader.fields(reader.start);
  const others = await reader.numbers(first.get(SUB_DIRECTORIES), MAX_DIRECTORIES);
  let hasData = false;
  const isInside = async (fields: Fields) => {
    for (const [offsets, lengths] of EXTENTS) {
      const starts = await reader.numbers(fields.get(offsets), MAX_EXTENTS);
      const sizes = await reader.numbers(fields.get(lengths), MAX_EXTENTS);
      if (starts.some((start, index) => start + Math.max(1, sizes[index] ?? 1) > sizeBytes)) return false;
      hasData ||= starts.length > 0;
    }
    return true;
  };
  if (!(await isInside(first))) return false;
  for (const offset of others) if (!(await isInside(await reader.fields(offset)))) return false;
  return hasData;
};

/** ISO/IEC 14496-12, 8.1 and 8.11: boxes that describe pictures and that hold their data. */
const DESCRIPTIONS = ['meta', 'moov'];
const MEDIA_DATA = 'mdat';

/** Whether the boxes that matter are there and none is cut off. */
const avif: Check = async (at, sizeBytes) => {
  const found: Box[] = [];
  for await (const box of boxesIn(at, 0, Number.MAX_SAFE_INTEGER)) {
    if (![...DESCRIPTIONS, MEDIA_DATA].includes(box.type)) continue;
    const isOpen = box.end === Number.MAX_SAFE_INTEGER;
    if (!isOpen && box.end > sizeBytes) return false;
    found.push(box);
  }
  const meta = found.find(({ type }) => type === 'meta');
  // It is a full box: a version and flags come first.
  const hasItemData =
    meta !== undefined && (await boxAt(at, { ...meta, start: meta.start + 4 }, 'idat')) !== null;
  const hasData = hasItemData || found.some(({ type }) => type === MEDIA_DATA);
  return hasData && found.some(({ type }) => DESCRIPTIONS.includes(type));
};

/** Processes that decoders know: baseline, extended and progressive, coded after Huffman. ITU-T T.81, table B.1. */
const COMMON_PROCESSES = [0xc0, 0xc1, 0xc2];
const END_OF_IMAGE = Buffer.from([0xff, 0xd9]);

/** Whether a JPEG that is there up to its end is lossless, hierarchical or arithmetic, or has samples of more than 8 bits. */
const jpeg: Check = async (at, sizeBytes) => {
  const frame = await jpegFrame(at);
  const isRare = frame !== null && (!COMMON_PROCESSES.includes(frame.marker) || frame.precision !== 8);
  return isRare && endsWith(END_OF_IMAGE, at, sizeBytes);
};

const FIRST_CHUNK = 12;
const LAST_CHUNK = Buffer.from('IEND');

const png: Check = async (at, sizeBytes) =>
  (await at(FIRST_CHUNK, 4)).toString('latin1') === APPLE_CHUNK && endsWith(LAST_CHUNK, at, sizeBytes);

const CHECKS: Readonly<Record<string, Check>> = {
  'image/tiff': tiff,
  'image/avif': avif,
  'image/jpeg': jpeg,
  'image/png': png,
};

/**
 * Whether the structure of a picture is whole, although the decoder refuses its layout: everything that its headers point at lies in
 * the file. False for the types of which the decoder knows every layout, so that it refuses only damaged files.
 */
export const isWhole = (at: ReadAt, sizeBytes: number, type: string): Promise<boolean> =>
  CHECKS[type]?.(at, sizeBytes) ?? Promise.resolve(false);
