import { brotliDecompressSync } from 'node:zlib';
import { afterVersion, boxAt, boxesIn, contentOf, type Span, wholeFile } from '../iso-boxes.js';
import { bytesAt, type ReadAt, windowed } from '../read-at.js';
import { type Blocks, decompressed, type Finder, MAX_BLOCK_BYTES, withoutPrefix } from './blocks.js';
import { exifTags } from './exif.js';
import { TiffDirectory } from './tiff-fields.js';

/* Tags in pictures made of boxes: HEIF and AVIF, JPEG XL, JPEG 2000, Canon's CR3. */

/** Skips the offset of the TIFF header in the EXIF of an item or a box. ISO/IEC 23008-12, A.2.1. */
function offsetExif(bytes: Buffer): Buffer {
  const offset = bytes.length < 4 ? 0 : bytes.readUInt32BE(0);
  const prefixed = withoutPrefix(bytes.subarray(4));
  const atOffset = bytes.subarray(4 + offset);
  return /^(II|MM)/.test(atOffset.toString('latin1', 0, 2)) ? atOffset : prefixed;
}

const MAX_ITEMS = 4096;

/** Location of an item: in the file, or in the `idat` box of its description. ISO/IEC 14496-12, 8.11.3. */
interface Extent {
  readonly isInFile: boolean;
  readonly offset: number;
  readonly length: number;
}

/** Reads the first extent of each item by its id. The box declares the sizes of its integers. */
function itemExtents(bytes: Buffer): ReadonlyMap<number, Extent> {
  const extents = new Map<number, Extent>();
  let at = 0;
  const next = (size: number): number => {
    const value =
      size === 0 || at + size > bytes.length
        ? 0
        : Number(BigInt(`0x${bytes.toString('hex', at, at + size)}`));
    at += size;
    return value;
  };
  const version = next(1);
  next(3);
  const [sizes, others] = [next(1), next(1)];
  const [offsetSize, lengthSize, baseSize] = [sizes >> 4, sizes & 15, others >> 4];
  const indexSize = version === 0 ? 0 : others & 15;
  const count = Math.min(next(version === 2 ? 4 : 2), MAX_ITEMS);
  for (let item = 0; item < count && at < bytes.length; item++) {
    const id = next(version === 2 ? 4 : 2);
    const method = version === 0 ? 0 : next(2) & 15;
    next(2);
    const base = next(baseSize);
    const parts = next(2);
    for (let part = 0; part < parts && at < bytes.length; part++) {
      next(indexSize);
      const [offset, length] = [base + next(offsetSize), next(lengthSize)];
      if (part === 0 && method < 2) extents.set(id, { isInFile: method === 0, offset, length });
    }
  }
  return extents;
}

const XMP_ITEM = 'application/rdf+xml';

/** Finds the ids of the items with EXIF and XMP. ISO/IEC 14496-12, 8.11.6. */
async function tagItems(at: ReadAt, items: Span): Promise<{ exif?: number; xmp?: number }> {
  const found: { exif?: number; xmp?: number } = {};
  const isLong = (await at(items.start, 1))[0] !== 0;
  for await (const entry of boxesIn(at, { ...items, start: items.start + (isLong ? 8 : 6) })) {
    const info = entry.type === 'infe' ? await contentOf(at, entry, 128) : Buffer.alloc(0);
    if (info.length < 12 || info[0]! < 2) continue;
    const idSize = info[0] === 2 ? 2 : 4;
    const id = info.readUIntBE(4, idSize);
    const type = info.toString('latin1', 6 + idSize, 10 + idSize);
    if (type === 'Exif') found.exif ??= id;
    if (type === 'mime' && info.includes(XMP_ITEM)) found.xmp ??= id;
  }
  return found;
}

/** HEIF and AVIF: tags are items like pictures. */
export const heif: Finder = async (file, sizeBytes) => {
  const at = windowed(file);
  const meta = afterVersion(await boxAt(at, wholeFile(sizeBytes), 'meta'));
  const items = await boxAt(at, meta, 'iinf');
  if (items === null) return {};
  const extents = itemExtents(await contentOf(at, await boxAt(at, meta, 'iloc'), MAX_BLOCK_BYTES));
  const data = await boxAt(at, meta, 'idat');
  const content = async (id: number | undefined): Promise<Buffer | undefined> => {
    const extent = id === undefined ? undefined : extents.get(id);
    if (extent === undefined) return undefined;
    const start = extent.isInFile ? 0 : data?.start;
    return start === undefined
      ? undefined
      : file(start + extent.offset, Math.min(extent.length, MAX_BLOCK_BYTES));
  };
  const { exif, xmp } = await tagItems(at, items);
  const block = await content(exif);
  return { exif: block && offsetExif(block), xmp: await content(xmp) };
};

/** ISO/IEC 18181-2, 9: boxes of JPEG XL. Compressed ones name their type first. */
export const jxl: Finder = async (file, sizeBytes) => {
  const blocks: Blocks = {};
  const at = windowed(file);
  for await (const box of boxesIn(at, wholeFile(sizeBytes))) {
    if (!['Exif', 'xml ', 'brob'].includes(box.type)) continue;
    const content = await contentOf(file, box, MAX_BLOCK_BYTES);
    const isPacked = box.type === 'brob';
    const type = isPacked ? content.toString('latin1', 0, 4) : box.type;
    const bytes = isPacked ? decompressed(brotliDecompressSync, content.subarray(4)) : content;
    if (type === 'Exif') blocks.exif ??= offsetExif(bytes);
    if (type === 'xml ') blocks.xmp ??= bytes;
  }
  return blocks;
};

const UUIDS: Readonly<Record<string, 'exif' | 'xmp'>> = {
  '4a706754694666664578696600000000': 'exif',
  '4a706754696666457869662d3e4a5032': 'exif',
  be7acfcb97a942e89c71999491e3afac: 'xmp',
};

/** ISO/IEC 15444-1, I.7.2: UUID boxes of JPEG 2000. */
export const jp2: Finder = async (file, sizeBytes) => {
  const blocks: Blocks = {};
  const at = windowed(file);
  for await (const box of boxesIn(at, wholeFile(sizeBytes))) {
    const kind = UUIDS[box.type];
    if (kind !== undefined) blocks[kind] ??= withoutPrefix(await contentOf(file, box, MAX_BLOCK_BYTES));
  }
  return blocks;
};

/** Path of the box with the directories of a Canon CR3: https://github.com/lclevy/canon_cr3 */
export const CANON_BOX = ['moov', '85c0b687820f11e08111f4ce462b6a48'];

/** The directories of a Canon CR3, each in the form of a TIFF file. */
export const cr3: Finder = async (file, sizeBytes) => {
  const at = windowed(file);
  const canon = await boxAt(at, wholeFile(sizeBytes), ...CANON_BOX);
  const directory = async (name: string) =>
    TiffDirectory.open(bytesAt(await contentOf(file, await boxAt(at, canon, name), MAX_BLOCK_BYTES)));
  const exif = await exifTags(await directory('CMT1'), await directory('CMT2'), await directory('CMT4'));
  return { more: { exif } };
};
