import { readFile } from 'node:fs/promises';
import type { Metadata, SharpOptions } from 'sharp';
import type { VariantsReason } from '#libs/domain';
import type { RefusalCode } from '../../../inspector.js';
import { rethrowExhaustion } from '../../exhaustion.js';
import type { FileToRead, Finding, Limits, Reader } from '../../reader.js';
import { findingOf } from '../finding.js';
import { type ReadAt, readingFrom } from '../read-at.js';
import { settle } from '../tags.js';
import { declaredSize, type DeclaredSize } from './declared-size.js';
import { embeddedTags } from './embedded.js';
import { isWhole } from './layout.js';
import { type Pictures, renderAll } from './renditions.js';
import { sharp } from './sharp.js';

/** What renditions are made of, whatever else a worker's libvips can decode: READY must not depend on the worker. */
const DECODED = /^image\/(jpeg|a?png|gif|webp|avif|tiff)$/;
/** Opened for what their cameras wrote, and not decoded. */
const HEIC = /^image\/hei[cf]/;

/** The decoder of AVIF holds all of a picture, and needs 18 bytes a pixel where the others need 8 at most. */
const SHARE_OF_PIXELS: Readonly<Record<string, number>> = { 'image/avif': 0.5 };

/** What the last bytes of a file are, for those that are shown as well without them. */
const END_MARKS: Record<string, Buffer> = {
  'image/jpeg': Buffer.from([0xff, 0xd9]),
  'image/gif': Buffer.from([0x3b]),
};
const MAX_MENDED_BYTES = 64 * 2 ** 20;

const NO_LIMIT: SharpOptions = { limitInputPixels: false };

const refusal = (code: RefusalCode, message: string): Finding => ({ refusal: { code, message } });

/** One frame is decoded here, and by others one after another: half a minute of full-HD video as a GIF is nobody's attack. */
const SHARE_OF_ANIMATIONS = 20;

/** Pages of a TIFF are no frames: nobody has them all before him. */
function excess({ width, height, frames }: DeclaredSize, type: string, limits: Limits): Finding | null {
  const { maxPixels, maxFrames } = limits;
  const pixels = width * height;
  const all = pixels * (type === 'image/tiff' ? 1 : frames);
  if (pixels <= maxPixels && all <= maxPixels * SHARE_OF_ANIMATIONS && frames <= maxFrames) return null;
  return refusal(
    'TOO_MANY_PIXELS',
    `The picture has ${width} × ${height} pixels in ${frames} frame(s); ${maxPixels} pixels and ${maxFrames} frames are allowed.`,
  );
}

/** How libvips and the libraries below it name what they cannot do, as opposed to what is wrong with a file. */
const LACKING = /unsupported|not (?:supported|configured|implemented|been built)/i;

/** The result, or the error of a decoder. */
async function attempt<T>(work: () => Promise<T>): Promise<T | Error> {
  try {
    return await work();
  } catch (error) {
    rethrowExhaustion(error);
    return error instanceof Error ? error : new Error(String(error));
  }
}

const metadataOf = (path: string) =>
  attempt<Metadata>(() => sharp(path, { ...NO_LIMIT, failOn: 'none' }).metadata());

/**
 * A file that lacks nothing but the mark at its end is whole for everybody who looks at it, and for the decoder only with
 * the mark; then it must have no other fault.
 */
async function mended({ path, sizeBytes, detected }: FileToRead): Promise<Buffer | null> {
  const mark = END_MARKS[detected];
  if (mark === undefined || sizeBytes > MAX_MENDED_BYTES) return null;
  return Buffer.concat([await readFile(path), mark]);
}

async function picturesOf(file: FileToRead): Promise<Pictures | Error> {
  const pictures = await attempt(() => renderAll(sharp(file.path, { ...NO_LIMIT, failOn: 'error' }), file));
  const bytes = pictures instanceof Error ? await mended(file) : null;
  if (bytes === null) return pictures;
  return attempt(() => renderAll(sharp(bytes, { ...NO_LIMIT, failOn: 'warning' }), file));
}

/** Size, camera, time and place, of a picture that the decoder may have opened. */
async function foundIn(
  at: ReadAt,
  { detected, sizeBytes }: FileToRead,
  declared: DeclaredSize | null,
  metadata: Metadata | null,
) {
  const { width, height } = metadata?.autoOrient ?? declared ?? {};
  const pageCount = detected === 'image/tiff' ? metadata?.pages : null;
  return { ...settle(await embeddedTags(at, sizeBytes, detected)), width, height, pageCount };
}

async function readDecoded(
  at: ReadAt,
  file: FileToRead,
  declared: DeclaredSize | null,
  limits: Limits,
): Promise<Finding> {
  const { detected, sizeBytes } = file;
  const tooMany = declared && excess(declared, detected, limits);
  if (tooMany) return tooMany;
  const opened = await metadataOf(file.path);
  const metadata = opened instanceof Error ? null : opened;
  const found = await foundIn(at, file, declared, metadata);
  const { width = 0, height = 0 } = found;
  const frames = Math.max(metadata?.pages ?? 1, declared?.frames ?? 1);
  const excessive = excess({ width, height, frames }, detected, limits);
  if (excessive) return excessive;
  const without = (variantsReason: VariantsReason): Finding => ({ ...findingOf(found), variantsReason });
  if (width * height > limits.maxPixels * (SHARE_OF_PIXELS[detected] ?? 1)) return without('TOO_MANY_PIXELS');

  const pictures = opened instanceof Error ? opened : await picturesOf(file);
  if (!(pictures instanceof Error)) {
    return { ...findingOf({ ...found, thumbhash: pictures.thumbhash }), renditions: pictures.renditions };
  }
  const isLayout = opened instanceof Error || LACKING.test(pictures.message);
  const isSized = width > 0 && height > 0;
  if (isLayout && isSized && (await isWhole(at, sizeBytes, detected))) return without('UNSUPPORTED_LAYOUT');
  return refusal('UNREADABLE', 'The picture is damaged and cannot be decoded.');
}

/**
 * Size, camera, time and place of a picture, and its renditions, or why there are none. Refuses files with too many pixels before
 * anything allocates memory for them, and damaged ones; of formats that are not decoded here it refuses none.
 */
export const read: Reader = (file, limits) =>
  readingFrom(file.path, async (at) => {
    const { detected, path, sizeBytes } = file;
    const declared = await declaredSize(at, sizeBytes, detected, limits.maxFrames);
    if (DECODED.test(detected)) return readDecoded(at, file, declared, limits);
    const opened = HEIC.test(detected) ? await metadataOf(path) : null;
    const found = await foundIn(at, file, declared, opened instanceof Error ? null : opened);
    return { ...findingOf(found), variantsReason: 'DECODER_MISSING' };
  });
