import { readFile } from 'node:fs/promises';
import type { Metadata, SharpOptions } from 'sharp';
import type { RefusalCode } from '../../../inspector.js';
import { rethrowExhaustion } from '../../exhaustion.js';
import type { FileToRead, Finding, Limits, Reader } from '../../reader.js';
import { findingOf } from '../finding.js';
import { readingFrom } from '../read-at.js';
import { settle } from '../tags.js';
import { declaredSize, type DeclaredSize } from './declared-size.js';
import { embeddedTags } from './embedded.js';
import { type Pictures, renderAll } from './renditions.js';
import { sharp } from './sharp.js';

/** What renditions are made of. */
const DECODED = /^image\/(jpeg|a?png|gif|webp|avif|tiff)$/;
/** Known, but not decoded: only their sizes and what their cameras wrote. */
const HEIC = /^image\/hei[cf]/;
/** No decoder makes room for their pixels. */
const NEVER_DECODED = /^image\/(svg\+xml|jxl|jp[2mx]|vnd\.adobe\.photoshop|x-(?!icon).*)$/;

/** A decoder of AVIF holds all of it, and needs 18 bytes a pixel where the others need 8 at most. */
const SHARE_OF_PIXELS: Record<string, number> = { 'image/avif': 0.5 };

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
  const most = limits.maxPixels * (SHARE_OF_PIXELS[type] ?? 1);
  const pixels = width * height;
  const all = pixels * (type === 'image/tiff' ? 1 : frames);
  if (pixels <= most && all <= most * SHARE_OF_ANIMATIONS && frames <= limits.maxFrames) return null;
  return refusal(
    'TOO_MANY_PIXELS',
    `The picture has ${width} × ${height} pixels in ${frames} frame(s); ${most} pixels and ${limits.maxFrames} frames are allowed.`,
  );
}

async function metadataOf(path: string): Promise<Metadata | null> {
  try {
    return await sharp(path, { ...NO_LIMIT, failOn: 'none' }).metadata();
  } catch (error) {
    rethrowExhaustion(error);
    return null;
  }
}

/**
 * A file that lacks nothing but the mark at its end is whole for everybody who looks at it, and for the decoder only with
 * the mark; then it must have no other fault.
 */
async function mended({ path, sizeBytes, detected }: FileToRead): Promise<Buffer | null> {
  const mark = END_MARKS[detected];
  if (mark === undefined || sizeBytes > MAX_MENDED_BYTES) return null;
  return Buffer.concat([await readFile(path), mark]);
}

async function picturesOf(file: FileToRead): Promise<Pictures | null> {
  try {
    return await renderAll(sharp(file.path, { ...NO_LIMIT, failOn: 'error' }), file);
  } catch (error) {
    rethrowExhaustion(error);
  }
  const bytes = await mended(file);
  if (bytes === null) return null;
  try {
    return await renderAll(sharp(bytes, { ...NO_LIMIT, failOn: 'warning' }), file);
  } catch (error) {
    rethrowExhaustion(error);
    return null;
  }
}

/**
 * Size, camera, time and place of a picture, and its renditions. Refuses what has too many pixels before anything makes room
 * for them, and what would be decoded but cannot be.
 */
export const read: Reader = (file, limits) =>
  readingFrom(file.path, async (at) => {
    const { detected } = file;
    const declared = await declaredSize(at, file.sizeBytes, detected, limits.maxFrames);
    const tooMany = declared && !NEVER_DECODED.test(detected) ? excess(declared, detected, limits) : null;
    if (tooMany) return tooMany;
    const told = settle(await embeddedTags(at, file.sizeBytes, detected));
    const isDecoded = DECODED.test(detected);
    if (!isDecoded && !HEIC.test(detected)) {
      return findingOf({ ...told, ...declared });
    }

    const metadata = await metadataOf(file.path);
    const { width, height } = metadata?.autoOrient ?? {};
    const frames = Math.max(metadata?.pages ?? 1, declared?.frames ?? 1);
    const found = {
      ...told,
      ...{ width, height },
      pageCount: detected === 'image/tiff' ? metadata?.pages : null,
    };
    if (!isDecoded) return findingOf(found);
    const excessive = metadata && excess({ width: width!, height: height!, frames }, detected, limits);
    if (excessive) return excessive;
    const pictures = metadata && (await picturesOf(file));
    if (!pictures) return refusal('UNREADABLE', 'The picture is damaged and cannot be decoded.');
    return { ...findingOf({ ...found, thumbhash: pictures.thumbhash }), renditions: pictures.renditions };
  });
