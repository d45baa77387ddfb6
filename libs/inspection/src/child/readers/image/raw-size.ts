import { boxAt, boxesIn, contentOf, wholeFile } from '../iso-boxes.js';
import { bytesAt, type ReadAt, windowed } from '../read-at.js';
import { CANON_BOX } from './box-tags.js';
import type { DeclaredSize } from './declared-size.js';
import { TiffDirectory } from './tiff-fields.js';

/* Sizes of formats that are not decoded. */

const WIDTH = 256;
const HEIGHT = 257;
const ORIENTATION = 274;
const SUBFILE_TYPE = 254;
const SUB_DIRECTORIES = 330;
const EXIF_DIRECTORY = 0x8769;
const [EXIF_WIDTH, EXIF_HEIGHT] = [0xa002, 0xa003];
/** Borders of the sensor area in a Panasonic RW2. */
const [TOP, LEFT, BOTTOM, RIGHT] = [4, 5, 6, 7];
const MAX_SUB_DIRECTORIES = 8;
/** Tells whether an orientation rotates a picture by 90 degrees: TIFF 6.0, section 8. */
export const turns = (orientation: number) => orientation >= 5 && orientation <= 8;

type Sides = readonly [width: number, height: number];

const sized = (sides: Sides | null, isTurned = false): DeclaredSize | null => {
  if (sides === null || sides.some((side) => !Number.isInteger(side) || side <= 0)) return null;
  const [width, height] = isTurned ? [sides[1], sides[0]] : sides;
  return { width, height, frames: 1 };
};

const larger = (one: Sides | null, other: Sides | null) =>
  one === null || (other !== null && other[0] * other[1] > one[0] * one[1]) ? other : one;

async function sidesIn(directory: TiffDirectory, across: number, down: number): Promise<Sides | null> {
  const [width, height] = [await directory.number(across), await directory.number(down)];
  return width === undefined || height === undefined ? null : [width, height];
}

/** The sides of the picture in a directory; null without one, and for a preview. */
async function pictureIn(directory: TiffDirectory): Promise<Sides | null> {
  const isPreview = (((await directory.number(SUBFILE_TYPE)) ?? 0) & 1) !== 0;
  return isPreview ? null : sidesIn(directory, WIDTH, HEIGHT);
}

/** Reads the size of a TIFF-based raw photograph: its largest picture that is not a preview, as it is displayed. */
export async function rawSize(at: ReadAt): Promise<DeclaredSize | null> {
  const main = await TiffDirectory.open(at);
  const isTurned = turns((await main.number(ORIENTATION)) ?? 1);
  const [start, end] = [await sidesIn(main, LEFT, TOP), await sidesIn(main, RIGHT, BOTTOM)];
  if (start !== null && end !== null) return sized([end[0] - start[0], end[1] - start[1]], isTurned);
  let largest = await pictureIn(main);
  for await (const directory of main.directories(SUB_DIRECTORIES, MAX_SUB_DIRECTORIES)) {
    largest = larger(largest, await pictureIn(directory));
  }
  const exif = await main.directory(EXIF_DIRECTORY);
  return sized(largest ?? (await sidesIn(exif, EXIF_WIDTH, EXIF_HEIGHT)), isTurned);
}

const MAX_DIRECTORY_BYTES = 65_536;

/** Reads the size of a Canon CR3, whose first directory has the form of a TIFF. */
export async function cr3Size(file: ReadAt, sizeBytes: number): Promise<DeclaredSize | null> {
  const at = windowed(file);
  const directory = await boxAt(at, wholeFile(sizeBytes), ...CANON_BOX, 'CMT1');
  return rawSize(bytesAt(await contentOf(at, directory, MAX_DIRECTORY_BYTES)));
}

/** Reads the size of a Photoshop document: Photoshop File Formats, "File Header Section". */
export async function psdSize(at: ReadAt): Promise<DeclaredSize | null> {
  const head = await at(14, 8);
  return head.length < 8 ? null : sized([head.readUInt32BE(4), head.readUInt32BE(0)]);
}

/** Reads the size of a JPEG 2000 file or of a bare code stream: ISO/IEC 15444-1, I.5.3.1 and A.5.1. */
export async function jp2Size(file: ReadAt, sizeBytes: number): Promise<DeclaredSize | null> {
  const at = windowed(file);
  const head = await at(0, 24);
  if (head.length === 24 && head.readUInt32BE(0) === 0xff4fff51) {
    return sized([
      head.readUInt32BE(8) - head.readUInt32BE(16),
      head.readUInt32BE(12) - head.readUInt32BE(20),
    ]);
  }
  const header = await boxAt(at, wholeFile(sizeBytes), 'jp2h', 'ihdr');
  const sides = await contentOf(at, header, 8);
  return sides.length < 8 ? null : sized([sides.readUInt32BE(4), sides.readUInt32BE(0)]);
}

/** Aspect ratios, width to height, by their number: ISO/IEC 18181-1, D.2. */
const RATIOS: readonly Sides[] = [
  [1, 1],
  [12, 10],
  [4, 3],
  [3, 2],
  [16, 9],
  [5, 4],
  [2, 1],
];
/** Bits of a side length, by their number. */
const SIDE_BITS = [9, 13, 18, 30];

/** Reads size and orientation from the header of a code stream, least significant bits first. */
function jxlSides(stream: Buffer): DeclaredSize | null {
  let bit = 16;
  const next = (count: number): number => {
    let value = 0;
    for (let index = 0; index < count; index++, bit++) {
      value += (((stream[bit >> 3] ?? 0) >> (bit & 7)) & 1) * 2 ** index;
    }
    return value;
  };
  const isSmall = next(1) === 1;
  const side = () => (isSmall ? 8 * (1 + next(5)) : 1 + next(SIDE_BITS[next(2)]!));
  const height = side();
  const ratio = RATIOS[next(3) - 1];
  const width = ratio === undefined ? side() : Math.floor((height * ratio[0]) / ratio[1]);
  const isPlain = next(1) === 1;
  const isTurned = !isPlain && next(1) === 1 && turns(next(3) + 1);
  return sized([width, height], isTurned);
}

const JXL_STREAM = 0xff0a;

/** Reads the size of a JPEG XL: ISO/IEC 18181-1, D.1, D.3.1. A container holds the code stream in one box or in several. */
export async function jxlSize(file: ReadAt, sizeBytes: number): Promise<DeclaredSize | null> {
  const at = windowed(file);
  let stream = await at(0, 32);
  for await (const box of stream.readUInt16BE(0) === JXL_STREAM ? [] : boxesIn(at, wholeFile(sizeBytes))) {
    if (box.type !== 'jxlc' && box.type !== 'jxlp') continue;
    stream = (await contentOf(at, box, 36)).subarray(box.type === 'jxlc' ? 0 : 4);
    break;
  }
  return stream.length >= 12 && stream.readUInt16BE(0) === JXL_STREAM ? jxlSides(stream) : null;
}

const SVG_BYTES = 65_536;
/** Pixels per unit: CSS Values 4, 6.2. */
const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  px: 1,
  pt: 4 / 3,
  pc: 16,
  mm: 96 / 25.4,
  cm: 96 / 2.54,
  in: 96,
};
const LENGTH = /^\s*\+?(\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})(px|pt|pc|mm|cm|in|)\s*$/i;

/** Reads the size of an SVG in pixels: width and height of its first element, or its view box. SVG 2, 8.2. */
export async function svgSize(at: ReadAt): Promise<DeclaredSize | null> {
  const [, attributes = ''] =
    /<(?:[\w-]{1,32}:)?svg\b([^>]{0,8192})/i.exec((await at(0, SVG_BYTES)).toString()) ?? [];
  const attribute = (name: string) =>
    new RegExp(`\\s${name}\\s{0,8}=\\s{0,8}(?:"([^"]{0,128})"|'([^']{0,128})')`)
      .exec(attributes)
      ?.slice(1)
      .find((value) => value !== undefined);
  const length = (name: string) => {
    const [, number, unit = ''] = LENGTH.exec(attribute(name) ?? '') ?? [];
    return number === undefined ? null : Number(number) * UNITS[unit.toLowerCase()]!;
  };
  const [, , across = NaN, down = NaN] = (attribute('viewBox') ?? '')
    .trim()
    .split(/[\s,]+/, 4)
    .map(Number);
  const [width, height] = [length('width'), length('height')];
  const ratio = across / down;
  const sides: Sides = [
    width ?? (height === null ? across : height * ratio),
    height ?? (width === null ? down : width / ratio),
  ];
  return sized([Math.round(sides[0]), Math.round(sides[1])]);
}
