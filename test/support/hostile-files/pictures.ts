import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { chunk } from '../../e2e/samples.js';
import { zlibZeros } from './zeros.js';

const dot = () => sharp({ create: { width: 1, height: 1, channels: 3, background: '#fff' } });
/** Valid pictures of one pixel. */
export const dots = {
  jpeg: () => dot().jpeg().toBuffer(),
  png: () => dot().png().toBuffer(),
  gif: () => dot().gif().toBuffer(),
  webp: () => dot().webp({ lossless: true }).toBuffer(),
};

const SOI_BYTES = 2;
const segment = (marker: number, content: Buffer): Buffer => {
  const head = Buffer.from([0xff, marker, 0, 0]);
  head.writeUInt16BE(content.length + 2, 2);
  return Buffer.concat([head, content]);
};

/** A JPEG with the given segments after its start marker. ITU-T T.81, B.1.1.4 */
export async function jpegWith(...segments: readonly [marker: number, content: Buffer][]): Promise<Buffer> {
  const jpeg = await dots.jpeg();
  const own = segments.map(([marker, content]) => segment(marker, content));
  return Buffer.concat([jpeg.subarray(0, SOI_BYTES), ...own, jpeg.subarray(SOI_BYTES)]);
}

/** A small JPEG that declares `side` pixels a side. */
export async function vastJpeg(side: number, sizeBytes: number): Promise<Buffer> {
  const jpeg = await jpegWith();
  const frame = jpeg.indexOf(Buffer.from('ffc0', 'hex'));
  jpeg.writeUInt16BE(side, frame + 5);
  jpeg.writeUInt16BE(side, frame + 7);
  // The padding before the end marker makes the file larger than a stub.
  return Buffer.concat([
    jpeg.subarray(0, -2),
    Buffer.alloc(sizeBytes - jpeg.length, 0x55),
    jpeg.subarray(-2),
  ]);
}

const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');
const IMAGE_DATA = chunk('IDAT', deflateSync(Buffer.alloc(2)));
const IMAGE_END = chunk('IEND', Buffer.alloc(0));

function header(width: number, height: number): Buffer {
  const content = Buffer.alloc(13);
  content.writeUInt32BE(width, 0);
  content.writeUInt32BE(height, 4);
  content[8] = 8;
  return chunk('IHDR', content);
}

/** A PNG of one grey pixel, which may declare another size, with the given chunks before and after its data. PNG 3, 11 */
export const png = ({
  side = 1,
  before = [],
  after = [],
}: {
  readonly side?: number;
  readonly before?: readonly Buffer[];
  readonly after?: readonly Buffer[];
} = {}): Buffer => Buffer.concat([SIGNATURE, header(side, side), ...before, IMAGE_DATA, ...after, IMAGE_END]);

const words = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => bytes.writeUInt32BE(value, 4 * index));
  return bytes;
};

/** An animation of `frames` pictures that declares `declared` of them. PNG 3, 11.3.6 */
export function apng(frames: number, declared = frames): Buffer {
  let sequence = 0;
  const control = () =>
    chunk('fcTL', Buffer.concat([words(sequence++, 1, 1, 0, 0), Buffer.from('0001000a0000', 'hex')]));
  const data = deflateSync(Buffer.alloc(2));
  const first = control();
  const after: Buffer[] = [];
  for (let frame = 1; frame < frames; frame++) {
    after.push(control(), chunk('fdAT', Buffer.concat([words(sequence++), data])));
  }
  return png({ before: [chunk('acTL', words(declared, 0)), first], after });
}

/** PNGs with a text chunk or a colour profile that inflates to this many mebibytes. PNG 3, 11.3.2.3, 11.3.3 */
export const pngBombs: Readonly<Record<'zTXt' | 'iTXt' | 'iCCP', (mebibytes: number) => Buffer>> = {
  zTXt: (mebibytes) =>
    png({ before: [chunk('zTXt', Buffer.concat([Buffer.from('Comment\0\0'), zlibZeros(mebibytes)]))] }),
  iTXt: (mebibytes) =>
    png({
      before: [
        chunk('iTXt', Buffer.concat([Buffer.from('XML:com.adobe.xmp\0\x01\0\0\0'), zlibZeros(mebibytes)])),
      ],
    }),
  iCCP: (mebibytes) =>
    png({ before: [chunk('iCCP', Buffer.concat([Buffer.from('icc\0\0'), zlibZeros(mebibytes)]))] }),
};

/** A GIF89a of `frames` pictures of one pixel. GIF89a, 20 to 22 */
export function gif(frames: number): Buffer {
  const head = Buffer.from('474946383961 0100 0100 80 00 00 000000 ffffff'.replaceAll(' ', ''), 'hex');
  const frame = Buffer.from('2c 0000 0000 0100 0100 00 02 02 44 01 00'.replaceAll(' ', ''), 'hex');
  return Buffer.concat([head, Buffer.alloc(frames * frame.length, frame), Buffer.from(';')]);
}

const riff = (type: string, content: Buffer): Buffer => {
  const head = Buffer.alloc(8);
  head.write(type, 'latin1');
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, content, Buffer.alloc(content.length % 2)]);
};

/** An animated WebP of `frames` pictures of one pixel. RFC 9649, 2.7 */
export async function webp(frames: number): Promise<Buffer> {
  const still = (await dots.webp()).subarray(12);
  const frame = riff(
    'ANMF',
    Buffer.concat([Buffer.from('000000 000000 000000 000000 0a0000 00'.replaceAll(' ', ''), 'hex'), still]),
  );
  const body = Buffer.concat([
    Buffer.from('WEBP'),
    riff('VP8X', Buffer.from('02000000000000000000', 'hex')),
    riff('ANIM', Buffer.from('ffffffff0000', 'hex')),
    Buffer.alloc(frames * frame.length, frame),
  ]);
  return riff('RIFF', body);
}

type Entry = readonly [tag: number, type: number, count: number, value: number];

/** A TIFF directory that is followed by the directory at the offset `next`. TIFF 6.0, section 2 */
function directory(entries: readonly Entry[], next: number): Buffer {
  const bytes = Buffer.alloc(2 + 12 * entries.length + 4);
  bytes.writeUInt16LE(entries.length, 0);
  entries.forEach(([tag, type, count, value], index) => {
    const at = 2 + 12 * index;
    bytes.writeUInt16LE(tag, at);
    bytes.writeUInt16LE(type, at + 2);
    bytes.writeUInt32LE(count, at + 4);
    bytes.writeUInt32LE(value, at + 8);
  });
  bytes.writeUInt32LE(next, bytes.length - 4);
  return bytes;
}

const TIFF_HEAD = Buffer.from('49492a0008000000', 'hex');
const FIRST = TIFF_HEAD.length;
const PIXEL: readonly Entry[] = [
  [256, 3, 1, 1],
  [257, 3, 1, 1],
  [258, 3, 1, 8],
  [259, 3, 1, 1],
  [262, 3, 1, 1],
  [273, 4, 1, FIRST],
  [277, 3, 1, 1],
  [278, 3, 1, 1],
  [279, 4, 1, 1],
];
/** Tags that give the directory itself as its EXIF and its GPS directory. */
const LOOPS: readonly Entry[] = [
  [0x8769, 4, 1, FIRST],
  [0x8825, 4, 1, FIRST],
];

/** A TIFF of one pixel whose directory refers to itself as next, EXIF and GPS directory. */
export const tiffLoop = (): Buffer => Buffer.concat([TIFF_HEAD, directory([...PIXEL, ...LOOPS], FIRST)]);

const EXIF = Buffer.from('Exif\0\0', 'latin1');
const EXIF_MARKER = 0xe1;

/** A JPEG with EXIF whose directory refers to itself. CIPA DC-008, 4.5.5 */
export const exifLoop = (): Promise<Buffer> =>
  jpegWith([EXIF_MARKER, Buffer.concat([EXIF, TIFF_HEAD, directory(LOOPS, FIRST)])]);

/** A JPEG with this many EXIF blocks of nearly maximum size. */
export const exifFlood = (blocks: number): Promise<Buffer> =>
  jpegWith(
    ...Array.from({ length: blocks }, (): [number, Buffer] => [
      EXIF_MARKER,
      Buffer.concat([EXIF, TIFF_HEAD, directory(LOOPS, FIRST), Buffer.alloc(65_000)]),
    ]),
  );
