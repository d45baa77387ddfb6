import { afterVersion, type Box, boxAt, boxesIn, wholeFile } from '../iso-boxes.js';
import type { ReadAt } from '../read-at.js';
import { APPLE_CHUNK, jpegFrame } from './declared-size.js';
import { TiffDirectory } from './tiff-fields.js';

/*
 * Structural checks for pictures that the decoder refuses. A layout that the decoder does not support is not a damaged
 * file.
 */

type Check = (at: ReadAt, sizeBytes: number) => Promise<boolean>;

const TAIL_BYTES = 65_536;

/** Tells whether a mark is near the end of a file, where a few unrelated bytes may follow it. */
async function endsWith(mark: Buffer, at: ReadAt, sizeBytes: number): Promise<boolean> {
  const start = Math.max(0, sizeBytes - TAIL_BYTES);
  return (await at(start, sizeBytes - start)).includes(mark);
}

/** TIFF 6.0, sections 3, 15 and 22: fields with the offsets and lengths of strips, of tiles, or of a whole JPEG. */
const EXTENTS = [
  [273, 279],
  [324, 325],
  [513, 514],
] as const;
const SUB_DIRECTORIES = 330;
const MAX_DIRECTORIES = 8;
const MAX_EXTENTS = 65_536;

/** Tells whether a TIFF has pixel data, and all data of the first page and of its sub-directories are inside the file. */
const tiff: Check = async (at, sizeBytes) => {
  const first = await TiffDirectory.open(at);
  let hasData = false;
  const isInside = async (directory: TiffDirectory) => {
    for (const [offsets, lengths] of EXTENTS) {
      const starts = await directory.numbers(offsets, MAX_EXTENTS);
      const sizes = await directory.numbers(lengths, MAX_EXTENTS);
      const isWithin = (start: number, index: number) =>
        start >= 0 && start + Math.max(1, sizes[index] ?? 1) <= sizeBytes;
      if (!starts.every(isWithin)) return false;
      hasData ||= starts.length > 0;
    }
    return true;
  };
  if (!(await isInside(first))) return false;
  for await (const directory of first.directories(SUB_DIRECTORIES, MAX_DIRECTORIES)) {
    if (!(await isInside(directory))) return false;
  }
  return hasData;
};

/** ISO/IEC 14496-12, 8.1 and 8.11: boxes with the description of pictures, and the box with their data. */
const DESCRIPTIONS = ['meta', 'moov'];
const MEDIA_DATA = 'mdat';

/** Tells whether an AVIF has a description and data, and none of these boxes is truncated. */
const avif: Check = async (at, sizeBytes) => {
  const found: Box[] = [];
  for await (const box of boxesIn(at, wholeFile(Number.MAX_SAFE_INTEGER))) {
    if (![...DESCRIPTIONS, MEDIA_DATA].includes(box.type)) continue;
    const isOpen = box.end === Number.MAX_SAFE_INTEGER;
    if (!isOpen && box.end > sizeBytes) return false;
    found.push(box);
  }
  const meta = found.find(({ type }) => type === 'meta') ?? null;
  const itemData = await boxAt(at, afterVersion(meta), 'idat');
  const hasData = itemData !== null || found.some(({ type }) => type === MEDIA_DATA);
  return hasData && found.some(({ type }) => DESCRIPTIONS.includes(type));
};

/** Coding processes that every decoder supports: baseline, extended and progressive Huffman. ITU-T T.81, table B.1. */
const COMMON_PROCESSES = [0xc0, 0xc1, 0xc2];
const END_OF_IMAGE = Buffer.from([0xff, 0xd9]);

/** Tells whether a complete JPEG is lossless, hierarchical, arithmetic-coded, or has samples of more than 8 bits. */
const jpeg: Check = async (at, sizeBytes) => {
  const frame = await jpegFrame(at);
  const isRare = frame !== null && (!COMMON_PROCESSES.includes(frame.marker) || frame.precision !== 8);
  return isRare && endsWith(END_OF_IMAGE, at, sizeBytes);
};

const FIRST_CHUNK = 12;
const LAST_CHUNK = Buffer.from('IEND');

/** Tells whether a PNG is complete and written for Apple's decoder. */
const png: Check = async (at, sizeBytes) =>
  (await at(FIRST_CHUNK, 4)).toString('latin1') === APPLE_CHUNK && endsWith(LAST_CHUNK, at, sizeBytes);

const CHECKS: Readonly<Record<string, Check>> = {
  'image/tiff': tiff,
  'image/avif': avif,
  'image/jpeg': jpeg,
  'image/png': png,
};

/**
 * Tells whether the structure of a picture is complete although the decoder refuses its layout: all data that its headers
 * refer to are inside the file. False for types of which the decoder supports every layout, because it refuses only damaged
 * files of these types.
 */
export const isWhole = (at: ReadAt, sizeBytes: number, type: string): Promise<boolean> =>
  CHECKS[type]?.(at, sizeBytes) ?? Promise.resolve(false);
