import { readFile } from 'node:fs/promises';
import type { Metadata, SharpOptions } from 'sharp';
import type { VariantsReason } from '#libs/domain';
import type { RefusalCode } from '../../../inspector.js';
import { rethrowOutOfMemory } from '../../exhaustion.js';
import type { FileToRead, Finding, Limits, Reader } from '../../reader.js';
import { findingOf } from '../finding.js';
import { type ReadAt, readingFrom } from '../read-at.js';
import { mergeTags } from '../tags.js';
import { declaredSize, type DeclaredSize } from './declared-size.js';
import { embeddedTags } from './embedded.js';
import { isWhole } from './layout.js';
import { type Pictures, renderAll } from './renditions.js';
import { sharp } from './sharp.js';

/** Formats of which renditions are made. A fixed list, because READY must not depend on the libvips of a worker. */
const DECODED = /^image\/(jpeg|a?png|gif|webp|avif|tiff)$/;
/** Opened for their metadata, but not decoded. */
const HEIC = /^image\/hei[cf]/;

/** The AVIF decoder holds the whole picture and needs 18 bytes a pixel; other decoders need at most 8. */
const SHARE_OF_PIXELS: Readonly<Record<string, number>> = { 'image/avif': 0.5 };

/** End marks of formats that viewers display even if the mark is missing. */
const END_MARKS: Record<string, Buffer> = {
  'image/jpeg': Buffer.from([0xff, 0xd9]),
  'image/gif': Buffer.from([0x3b]),
};
const MAX_COMPLETED_BYTES = 64 * 2 ** 20;

const NO_LIMIT: SharpOptions = { limitInputPixels: false };

const refusal = (code: RefusalCode, message: string): Finding => ({ refusal: { code, message } });

/**
 * Only one frame is decoded here, and viewers decode frame by frame, so an animation may have more pixels in all: half a
 * minute of full-HD video as a GIF is legitimate.
 */
const ANIMATION_FACTOR = 20;

/** Refuses too many pixels or frames. The pages of a TIFF do not add up, because viewers decode one page at a time. */
function refuseExcess({ width, height, frames }: DeclaredSize, type: string, limits: Limits): Finding | null {
  const { maxPixels, maxFrames } = limits;
  const pixels = width * height;
  const all = pixels * (type === 'image/tiff' ? 1 : frames);
  if (pixels <= maxPixels && all <= maxPixels * ANIMATION_FACTOR && frames <= maxFrames) return null;
  return refusal(
    'TOO_MANY_PIXELS',
    `The picture has ${width} × ${height} pixels in ${frames} frame(s); ${maxPixels} pixels and ${maxFrames} frames are allowed.`,
  );
}

/** Error texts of libvips and its libraries for unsupported features, as opposed to damaged files. */
const LACKING = /unsupported|not (?:supported|configured|implemented|been built)/i;

/** Returns the result or the error of a decoder. Rethrows exhaustion of memory. */
async function attempt<T>(work: () => Promise<T>): Promise<T | Error> {
  try {
    return await work();
  } catch (error) {
    rethrowOutOfMemory(error);
    return error instanceof Error ? error : new Error(String(error));
  }
}

const metadataOf = (path: string) =>
  attempt<Metadata>(() => sharp(path, { ...NO_LIMIT, failOn: 'none' }).metadata());

/**
 * Adds a missing end mark. A file that lacks only the mark is displayed everywhere, but refused by the decoder. With the
 * mark, the file must have no other fault.
 */
async function withEndMark({ path, sizeBytes, detected }: FileToRead): Promise<Buffer | null> {
  const mark = END_MARKS[detected];
  if (mark === undefined || sizeBytes > MAX_COMPLETED_BYTES) return null;
  return Buffer.concat([await readFile(path), mark]);
}

async function renderPictures(file: FileToRead): Promise<Pictures | Error> {
  const pictures = await attempt(() => renderAll(sharp(file.path, { ...NO_LIMIT, failOn: 'error' }), file));
  const bytes = pictures instanceof Error ? await withEndMark(file) : null;
  if (bytes === null) return pictures;
  return attempt(() => renderAll(sharp(bytes, { ...NO_LIMIT, failOn: 'warning' }), file));
}

/** Reads size, camera, time and location of a picture. `metadata` is null if the decoder has not opened the file. */
async function readProperties(
  at: ReadAt,
  { detected, sizeBytes }: FileToRead,
  declared: DeclaredSize | null,
  metadata: Metadata | null,
) {
  const { width, height } = metadata?.autoOrient ?? declared ?? {};
  const pageCount = detected === 'image/tiff' ? metadata?.pages : null;
  return { ...mergeTags(await embeddedTags(at, sizeBytes, detected)), width, height, pageCount };
}

async function readDecoded(
  at: ReadAt,
  file: FileToRead,
  declared: DeclaredSize | null,
  limits: Limits,
): Promise<Finding> {
  const { detected, sizeBytes } = file;
  const tooMany = declared && refuseExcess(declared, detected, limits);
  if (tooMany) return tooMany;
  const opened = await metadataOf(file.path);
  const metadata = opened instanceof Error ? null : opened;
  const found = await readProperties(at, file, declared, metadata);
  const { width = 0, height = 0 } = found;
  const frames = Math.max(metadata?.pages ?? 1, declared?.frames ?? 1);
  const excessive = refuseExcess({ width, height, frames }, detected, limits);
  if (excessive) return excessive;
  const without = (variantsReason: VariantsReason): Finding => ({ ...findingOf(found), variantsReason });
  if (width * height > limits.maxPixels * (SHARE_OF_PIXELS[detected] ?? 1)) return without('TOO_MANY_PIXELS');

  const pictures = opened instanceof Error ? opened : await renderPictures(file);
  if (!(pictures instanceof Error)) {
    return { ...findingOf({ ...found, thumbhash: pictures.thumbhash }), renditions: pictures.renditions };
  }
  const isLayout = opened instanceof Error || LACKING.test(pictures.message);
  const isSized = width > 0 && height > 0;
  if (isLayout && isSized && (await isWhole(at, sizeBytes, detected))) return without('UNSUPPORTED_LAYOUT');
  return refusal('UNREADABLE', 'The picture is damaged and cannot be decoded.');
}

/**
 * Reads size, camera, time and location of a picture, and makes its renditions or states why there are none. Refuses files
 * with too many pixels before memory is allocated for them, and damaged ones. Formats that are not decoded are never
 * refused.
 */
export const read: Reader = (file, limits) =>
  readingFrom(file.path, async (at) => {
    const { detected, path, sizeBytes } = file;
    const declared = await declaredSize(at, sizeBytes, detected, limits.maxFrames);
    if (DECODED.test(detected)) return readDecoded(at, file, declared, limits);
    const opened = HEIC.test(detected) ? await metadataOf(path) : null;
    const found = await readProperties(at, file, declared, opened instanceof Error ? null : opened);
    return { ...findingOf(found), variantsReason: 'DECODER_MISSING' };
  });
