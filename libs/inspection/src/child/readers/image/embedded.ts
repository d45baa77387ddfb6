import { inflateSync } from 'node:zlib';
import { isPastEnd } from '../../exhaustion.js';
import { instantOf } from '../instants.js';
import { bytesAt, type ReadAt, windowed } from '../read-at.js';
import type { TagSources } from '../tags.js';
import {
  type Blocks,
  EXIF_PREFIX,
  type Finder,
  MAX_BLOCK_BYTES,
  startsWith,
  withoutPrefix,
} from './blocks.js';
import { cr3, heif, jp2, jxl } from './box-tags.js';
import { readExif } from './exif.js';
import { iptcOf, photoshopResources } from './iptc.js';
import { MAX_XMP_BYTES, readXmp } from './xmp.js';

const MAX_SEGMENTS = 1000;

const XMP_PREFIX = 'http://ns.adobe.com/xap/1.0/\0';
const PHOTOSHOP_PREFIX = 'Photoshop 3.0\0';

/** ITU-T T.81, B.1.1.4; APP1 segments as in JEITA CP-3451, APP13 segments of Photoshop. The first of each kind counts. */
async function jpeg(at: ReadAt, start = 0): Promise<Blocks> {
  const blocks: Blocks = {};
  let offset = start + 2;
  for (let count = 0; count < MAX_SEGMENTS; count++) {
    const head = await at(offset, 4);
    if (head.length < 4 || head[0] !== 0xff || head[1] === 0xda || head[1] === 0xd9) break;
    if (head[1] === 0xff) {
      offset += 1;
      continue;
    }
    const length = head.readUInt16BE(2);
    if (head[1] === 0xe1 || head[1] === 0xed) {
      const content = await at(offset + 4, Math.max(0, length - 2));
      if (startsWith(content, EXIF_PREFIX)) blocks.exif ??= withoutPrefix(content);
      if (startsWith(content, XMP_PREFIX)) blocks.xmp ??= content.subarray(XMP_PREFIX.length);
      if (startsWith(content, PHOTOSHOP_PREFIX)) {
        blocks.photoshop ??= content.subarray(PHOTOSHOP_PREFIX.length);
      }
    }
    offset += 2 + length;
  }
  return blocks;
}

/** Enough for 128 MiB of data in the chunks of 8 KiB that most programs write. Tags may follow the data. */
const MAX_CHUNKS = 20_000;
const TEXT_CHUNKS = ['tEXt', 'zTXt', 'iTXt'];

function inflated(bytes: Buffer): Buffer {
  try {
    return inflateSync(bytes, { maxOutputLength: MAX_BLOCK_BYTES });
  } catch {
    return Buffer.alloc(0);
  }
}

/** Splits a text chunk into keyword and text: PNG 3, 11.3.3. */
function pngText(type: string, chunk: Buffer): readonly [keyword: string, text: Buffer] {
  const end = Math.max(0, chunk.indexOf(0));
  const keyword = chunk.toString('latin1', 0, end);
  if (type === 'tEXt') return [keyword, chunk.subarray(end + 1)];
  if (type === 'zTXt') return [keyword, inflated(chunk.subarray(end + 2))];
  const language = chunk.indexOf(0, end + 3);
  const translated = language < 0 ? -1 : chunk.indexOf(0, language + 1);
  if (translated < 0) return [keyword, Buffer.alloc(0)];
  const text = chunk.subarray(translated + 1);
  return [keyword, chunk[end + 1] === 1 ? inflated(text) : text];
}

/** Decodes the raw profile of ImageMagick: a block in hexadecimal after its name and length. */
function rawProfile(text: Buffer): Buffer {
  const [, digits = ''] = /^\s*\S{1,32}\s{1,16}\d{1,10}\s([\da-f\s]*)/i.exec(text.toString('latin1')) ?? [];
  return withoutPrefix(Buffer.from(digits.replaceAll(/\s+/g, ''), 'hex'));
}

/** PNG 3, 5.3 and 11.3: tags may precede or follow the data. */
const png: Finder = async (at, sizeBytes) => {
  const blocks: Blocks = {};
  const texts = new Map<string, Buffer>();
  for (let offset = 8, count = 0; offset + 12 <= sizeBytes && count < MAX_CHUNKS; count++) {
    const head = await at(offset, 8);
    if (head.length < 8) break;
    const type = head.toString('latin1', 4, 8);
    if (type === 'IEND') break;
    const length = head.readUInt32BE(0);
    const content = () => at(offset + 8, Math.min(length, MAX_BLOCK_BYTES));
    if (type === 'eXIf') blocks.exif ??= withoutPrefix(await content());
    if (TEXT_CHUNKS.includes(type) && texts.size < MAX_SEGMENTS) {
      const [keyword, text] = pngText(type, await content());
      if (!texts.has(keyword)) texts.set(keyword, text);
    }
    offset += 12 + length;
  }
  const xmp = texts.get('XML:com.adobe.xmp');
  const profile = texts.get('Raw profile type exif') ?? texts.get('Raw profile type APP1');
  if (xmp !== undefined) blocks.xmp = xmp;
  if (profile !== undefined) blocks.exif ??= rawProfile(profile);
  const text = (keyword: string) => texts.get(keyword)?.toString('utf8', 0, 2048);
  blocks.more = { png: { title: text('Title'), created: instantOf(text('Creation Time')) } };
  return blocks;
};

/** RFC 9649, 2.7: chunks of a WebP. */
const webp: Finder = async (file) => {
  const at = windowed(file);
  const blocks: Blocks = {};
  for (let offset = 12, count = 0; count < MAX_CHUNKS; count++) {
    const head = await at(offset, 8);
    if (head.length < 8) break;
    const type = head.toString('latin1', 0, 4);
    const length = head.readUInt32LE(4);
    const content = () => file(offset + 8, Math.min(length, MAX_BLOCK_BYTES));
    if (type === 'EXIF') blocks.exif ??= withoutPrefix(await content());
    if (type === 'XMP ') blocks.xmp ??= await content();
    offset += 8 + length + (length % 2);
  }
  return blocks;
};

const EXIF_RESOURCE = 0x0422;
const XMP_RESOURCE = 0x0424;

/** Photoshop File Formats: color mode data, then image resources. Each section starts with its length. */
const psd: Finder = async (at) => {
  const colours = await at(26, 4);
  if (colours.length < 4) return {};
  const start = 30 + colours.readUInt32BE(0);
  const length = await at(start, 4);
  if (length.length < 4) return {};
  return { photoshop: await at(start + 4, Math.min(length.readUInt32BE(0), MAX_BLOCK_BYTES)) };
};

/** The JPEG in a Fujifilm raw photograph contains its tags. */
const raf: Finder = async (at) => {
  const offset = await at(84, 4);
  return offset.length < 4 ? {} : jpeg(at, offset.readUInt32BE(0));
};

const FINDERS: Readonly<Record<string, Finder>> = {
  'image/jpeg': (at) => jpeg(at),
  'image/png': png,
  'image/apng': png,
  'image/webp': webp,
  'image/avif': heif,
  'image/heic': heif,
  'image/heif': heif,
  'image/heic-sequence': heif,
  'image/heif-sequence': heif,
  'image/jxl': jxl,
  'image/jp2': jp2,
  'image/jpx': jp2,
  'image/jpm': jp2,
  'image/vnd.adobe.photoshop': psd,
  'image/x-canon-cr3': cr3,
  'image/x-fujifilm-raf': raf,
};

/** Formats that are a TIFF. */
const TIFF =
  /^image\/(tiff|x-(adobe-dng|canon-cr2|nikon-(nef|nrw)|olympus-orf|panasonic-rw2|sony-(arw|sr2|srf)))$/;

async function tagsIn(at: ReadAt, sizeBytes: number, type: string): Promise<TagSources> {
  if (TIFF.test(type)) return readExif(at);
  const { exif, xmp, photoshop, more } = (await FINDERS[type]?.(at, sizeBytes)) ?? {};
  const resources = photoshop === undefined ? null : photoshopResources(photoshop);
  const block = exif ?? resources?.get(EXIF_RESOURCE);
  const packet = xmp ?? resources?.get(XMP_RESOURCE);
  return {
    ...more,
    ...(resources !== null && { iptc: iptcOf(resources) }),
    ...(packet && { xmp: readXmp(packet.subarray(0, MAX_XMP_BYTES)) }),
    ...(block && (await readExif(bytesAt(block)))),
  };
}

/**
 * Reads the tags of a picture, by source. Does not use the decoder, so that a file that the decoder refuses has tags, too.
 * Ignores damaged tags.
 */
export async function embeddedTags(at: ReadAt, sizeBytes: number, type: string): Promise<TagSources> {
  try {
    return await tagsIn(at, sizeBytes, type);
  } catch (error) {
    if (!isPastEnd(error)) throw error;
    return {};
  }
}
