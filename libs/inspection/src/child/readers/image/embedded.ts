import { inflateSync } from 'node:zlib';
import { isPastEnd } from '../../exhaustion.js';
import { instantOf } from '../instants.js';
import { contentOf } from '../iso-boxes.js';
import { bytesAt, type ReadAt } from '../read-at.js';
import type { TagSources } from '../tags.js';
import {
  type Blocks,
  decompressed,
  EXIF_PREFIX,
  type Finder,
  MAX_BLOCK_BYTES,
  startsWith,
  withoutPrefix,
} from './blocks.js';
import { cr3, heif, jp2, jxl } from './box-tags.js';
import { jpegSegments, MAX_SEGMENTS, pngChunks, webpChunks } from './chunks.js';
import { readExif } from './exif.js';
import { photoshopResources, readIptc } from './iptc.js';
import { readXmp } from './xmp.js';

/** Starts of the APP1 segments of JEITA CP-3451 and XMP, and of the APP13 segments of Photoshop. */
const PREFIXES = [
  ['exif', EXIF_PREFIX],
  ['xmp', 'http://ns.adobe.com/xap/1.0/\0'],
  ['photoshop', 'Photoshop 3.0\0'],
] as const;

/** Finds the first segment of each kind. */
async function jpeg(at: ReadAt, start = 0): Promise<Blocks> {
  const blocks: Blocks = {};
  for await (const segment of jpegSegments(at, start)) {
    if (segment.head[1] !== 0xe1 && segment.head[1] !== 0xed) continue;
    const content = await contentOf(at, segment, MAX_BLOCK_BYTES);
    for (const [kind, prefix] of PREFIXES) {
      if (startsWith(content, prefix)) blocks[kind] ??= content.subarray(prefix.length);
    }
  }
  return blocks;
}

/** Enough for 128 MiB of data in the chunks of 8 KiB that most programs write. Tags may follow the data. */
const MAX_CHUNKS = 20_000;
const TEXT_CHUNKS = ['tEXt', 'zTXt', 'iTXt'];

/** Splits a text chunk into keyword and text: PNG 3, 11.3.3. */
function pngText(type: string, chunk: Buffer): readonly [keyword: string, text: Buffer] {
  const end = Math.max(0, chunk.indexOf(0));
  const keyword = chunk.toString('latin1', 0, end);
  if (type === 'tEXt') return [keyword, chunk.subarray(end + 1)];
  if (type === 'zTXt') return [keyword, decompressed(inflateSync, chunk.subarray(end + 2))];
  const language = chunk.indexOf(0, end + 3);
  const translated = language < 0 ? -1 : chunk.indexOf(0, language + 1);
  if (translated < 0) return [keyword, Buffer.alloc(0)];
  const text = chunk.subarray(translated + 1);
  return [keyword, chunk[end + 1] === 1 ? decompressed(inflateSync, text) : text];
}

/** Decodes the raw profile of ImageMagick: a block in hexadecimal after its name and length. */
function rawProfile(text: Buffer): Buffer {
  const [, digits = ''] = /^\s*\S{1,32}\s{1,16}\d{1,10}\s([\da-f\s]*)/i.exec(text.toString('latin1')) ?? [];
  return withoutPrefix(Buffer.from(digits.replaceAll(/\s+/g, ''), 'hex'));
}

/** PNG 3, 11.3: tags may precede or follow the data. */
const png: Finder = async (at) => {
  let exif: Buffer | undefined;
  const texts = new Map<string, Buffer>();
  for await (const chunk of pngChunks(at, 8, MAX_CHUNKS)) {
    if (chunk.type === 'IEND') break;
    const content = () => contentOf(at, chunk, MAX_BLOCK_BYTES);
    if (chunk.type === 'eXIf') exif ??= withoutPrefix(await content());
    if (TEXT_CHUNKS.includes(chunk.type) && texts.size < MAX_SEGMENTS) {
      const [keyword, text] = pngText(chunk.type, await content());
      if (!texts.has(keyword)) texts.set(keyword, text);
    }
  }
  const profile = texts.get('Raw profile type exif') ?? texts.get('Raw profile type APP1');
  const text = (keyword: string) => texts.get(keyword)?.toString('utf8', 0, 2048);
  return {
    exif: exif ?? (profile && rawProfile(profile)),
    xmp: texts.get('XML:com.adobe.xmp'),
    more: { png: { title: text('Title'), created: instantOf(text('Creation Time')) } },
  };
};

/** RFC 9649, 2.7: chunks of a WebP. */
const webp: Finder = async (at) => {
  const blocks: Blocks = {};
  for await (const chunk of webpChunks(at, MAX_CHUNKS)) {
    const content = () => contentOf(at, chunk, MAX_BLOCK_BYTES);
    if (chunk.type === 'EXIF') blocks.exif ??= withoutPrefix(await content());
    if (chunk.type === 'XMP ') blocks.xmp ??= await content();
  }
  return blocks;
};

const IPTC_RESOURCE = 0x0404;
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
  const resources = photoshopResources(photoshop ?? Buffer.alloc(0));
  const block = exif ?? resources.get(EXIF_RESOURCE);
  const packet = xmp ?? resources.get(XMP_RESOURCE);
  const iptc = resources.get(IPTC_RESOURCE);
  return {
    ...more,
    iptc: iptc && readIptc(iptc),
    xmp: packet && readXmp(packet),
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
