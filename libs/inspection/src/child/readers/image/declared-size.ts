import { isPastEnd } from '../../exhaustion.js';
import { afterVersion, boxAt, boxesIn, contentOf, type Span, wholeFile } from '../iso-boxes.js';
import type { ReadAt } from '../read-at.js';
import { jpegSegments, MAX_SEGMENTS, pngChunks, webpChunks } from './chunks.js';
import { cr3Size, jp2Size, jxlSize, psdSize, rawSize, svgSize, turns } from './raw-size.js';
import { TiffDirectory } from './tiff-fields.js';

/** The size that a file declares, in pixels, read before a decoder allocates memory. */
export interface DeclaredSize {
  readonly width: number;
  readonly height: number;
  readonly frames: number;
}

type Sizer = (at: ReadAt, sizeBytes: number, maxFrames: number) => Promise<DeclaredSize | null>;

const size = (width: number, height: number, frames = 1): DeclaredSize => ({ width, height, frames });

/** Bytes of a track header of version 0 and 1, without the version. */
const [MIN_TRACK_HEADER, MAX_TRACK_HEADER] = [84, 96];

/** Coding process and size of a JPEG: ITU-T T.81, B.2.2. */
export interface JpegFrame {
  readonly marker: number;
  readonly precision: number;
  readonly width: number;
  readonly height: number;
}

/** Reads the first frame header of a JPEG; null if none precedes the data. */
export async function jpegFrame(at: ReadAt): Promise<JpegFrame | null> {
  for await (const { head } of jpegSegments(at, 0)) {
    const marker = head[1]!;
    if (marker < 0xc0 || marker > 0xcf || [0xc4, 0xc8, 0xcc].includes(marker)) continue;
    return { marker, precision: head[4]!, width: head.readUInt16BE(7), height: head.readUInt16BE(5) };
  }
  return null;
}

const jpeg: Sizer = async (at) => {
  const frame = await jpegFrame(at);
  return frame && size(frame.width, frame.height);
};

/** First chunk of the PNGs that Apple's tools write into iOS packages, which only Apple's decoder reads. */
export const APPLE_CHUNK = 'CgBI';

/** PNG 3, 11.2.1. The frame count of an animation precedes the first data chunk, 11.3.6.1. */
const png: Sizer = async (at) => {
  const first = await at(8, 8);
  const isApples = first.toString('latin1', 4) === APPLE_CHUNK;
  const offset = isApples ? 20 + first.readUInt32BE(0) : 8;
  const head = await at(offset + 8, 8);
  if (head.length < 8) return null;
  const [width, height] = [head.readUInt32BE(0), head.readUInt32BE(4)];
  for await (const { type, start } of pngChunks(at, offset, MAX_SEGMENTS)) {
    if (type === 'IDAT') break;
    if (type === 'acTL') return size(width, height, (await at(start, 4)).readUInt32BE());
  }
  return size(width, height);
};

/** GIF89a, 18. */
const gif: Sizer = async (at) => {
  const head = await at(6, 4);
  return head.length < 4 ? null : size(head.readUInt16LE(0), head.readUInt16LE(2));
};

/** RFC 9649, 2.7.1.1: counts the frames of an animation, up to `maxFrames` + 1. */
async function framesOf(at: ReadAt, maxFrames: number): Promise<number> {
  let frames = 0;
  for await (const { type } of webpChunks(at, MAX_SEGMENTS + maxFrames)) {
    if (type === 'ANMF') frames += 1;
    if (frames > maxFrames) break;
  }
  return Math.max(frames, 1);
}

/** RFC 9649, 2.5 to 2.7. Frames are counted, because the decoder searches for each frame from the first one. */
const webp: Sizer = async (at, _, maxFrames) => {
  const head = await at(12, 18);
  if (head.length < 18) return null;
  const type = head.toString('latin1', 0, 4);
  if (type === 'VP8X') {
    return size(head.readUIntLE(12, 3) + 1, head.readUIntLE(15, 3) + 1, await framesOf(at, maxFrames));
  }
  if (type === 'VP8 ') return size(head.readUInt16LE(14) & 0x3fff, head.readUInt16LE(16) & 0x3fff);
  if (type !== 'VP8L') return null;
  const bits = head.readUInt32LE(9);
  return size((bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1);
};

/** TIFF 6.0, section 8: the first page, in its displayed orientation. */
const tiff: Sizer = async (at) => {
  const main = await TiffDirectory.open(at);
  const [width, height] = [await main.number(256), await main.number(257)];
  if (width === undefined || height === undefined) return null;
  return turns((await main.number(274)) ?? 1) ? size(height, width) : size(width, height);
};

/** ISO/IEC 14496-12, 8.3.2: the size of the first track, in 1/65536 pixels at the end of its header. */
async function trackSize(at: ReadAt, file: Span): Promise<DeclaredSize | null> {
  const header = await contentOf(at, await boxAt(at, file, 'moov', 'trak', 'tkhd'), MAX_TRACK_HEADER);
  if (header.length < MIN_TRACK_HEADER) return null;
  const [width = 0, height = 0] = [8, 4].map((end) => header.readUInt32BE(header.length - end) >>> 16);
  return size(width, height);
}

/** ISO/IEC 23008-12, 6.5.3: the largest picture in the file. Smaller ones are tiles and thumbnails. */
const heif: Sizer = async (at, sizeBytes) => {
  const file = wholeFile(sizeBytes);
  const meta = afterVersion(await boxAt(at, file, 'meta'));
  const properties = await boxAt(at, meta, 'iprp', 'ipco');
  let largest: DeclaredSize | null = null;
  // An animation may have no still picture.
  if (properties === null) return trackSize(at, file);
  for await (const box of boxesIn(at, properties)) {
    const content = box.type === 'ispe' ? await contentOf(at, box, 12) : null;
    if (content?.length !== 12) continue;
    const found = size(content.readUInt32BE(4), content.readUInt32BE(8));
    if (largest === null || found.width * found.height > largest.width * largest.height) largest = found;
  }
  return largest;
};

/** BITMAPINFOHEADER, where a negative height means top-down, or the older BITMAPCOREHEADER. */
const bmp: Sizer = async (at) => {
  const head = await at(14, 12);
  if (head.length < 12) return null;
  return head.readUInt32LE(0) === 12
    ? size(head.readUInt16LE(4), head.readUInt16LE(6))
    : size(head.readInt32LE(4), Math.abs(head.readInt32LE(8)));
};

/** The largest picture in the file; 0 stands for 256. */
const icon: Sizer = async (at) => {
  const head = await at(4, 2);
  const entries = head.length < 2 ? head : await at(6, 16 * Math.min(head.readUInt16LE(0), 64));
  const sides: [number, number][] = [];
  for (let entry = 0; entry + 16 <= entries.length; entry += 16) {
    sides.push([entries[entry]! || 256, entries[entry + 1]! || 256]);
  }
  const [largest] = sides.sort(([a, b], [c, d]) => c * d - a * b);
  return largest === undefined ? null : size(...largest);
};

const SIZERS: Record<string, Sizer> = {
  'image/jpeg': jpeg,
  'image/png': png,
  'image/apng': png,
  'image/gif': gif,
  'image/webp': webp,
  'image/tiff': tiff,
  'image/avif': heif,
  'image/heic': heif,
  'image/heif': heif,
  'image/heic-sequence': heif,
  'image/heif-sequence': heif,
  'image/bmp': bmp,
  'image/x-icon': icon,
  'image/jp2': jp2Size,
  'image/jpm': jp2Size,
  'image/jpx': jp2Size,
  'image/jxl': jxlSize,
  'image/svg+xml': svgSize,
  'image/vnd.adobe.photoshop': psdSize,
  'image/x-adobe-dng': rawSize,
  'image/x-canon-cr2': rawSize,
  'image/x-canon-cr3': cr3Size,
  'image/x-nikon-nef': rawSize,
  'image/x-nikon-nrw': rawSize,
  'image/x-olympus-orf': rawSize,
  'image/x-panasonic-rw2': rawSize,
  'image/x-sony-arw': rawSize,
};

/**
 * Reads the size that a picture declares; null for unknown types and for files without a size. Frames are read where a PNG
 * declares them and counted in a WebP, up to `maxFrames` + 1; they are 1 for other formats.
 */
export async function declaredSize(
  at: ReadAt,
  sizeBytes: number,
  type: string,
  maxFrames: number,
): Promise<DeclaredSize | null> {
  try {
    return (await SIZERS[type]?.(at, sizeBytes, maxFrames)) ?? null;
  } catch (error) {
    if (!isPastEnd(error)) throw error;
    return null;
  }
}
