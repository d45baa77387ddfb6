import { describe, expect, it } from '@jest/globals';
import { bytesAt } from '../read-at.js';
import { isWhole } from './layout.js';

const [BYTE, LONG, RATIONAL, SIGNED] = [1, 4, 5, 9];
const STRIP_OFFSETS = 273;
const STRIP_LENGTHS = 279;
const SUB_DIRECTORIES = 330;

type Field = readonly [tag: number, type: number, value: number];

/** A TIFF whose directory has one value per field, then 16 bytes of pixels and zero bytes. */
function tiff(...fields: readonly Field[]): Buffer {
  const bytes = Buffer.alloc(10 + 12 * fields.length + 4 + 64);
  bytes.write('II*\0\x08\0\0\0', 'latin1');
  bytes.writeUInt16LE(fields.length, 8);
  for (const [index, [tag, type, value]] of fields.entries()) {
    const at = 10 + 12 * index;
    bytes.writeUInt16LE(tag, at);
    bytes.writeUInt16LE(type, at + 2);
    bytes.writeUInt32LE(1, at + 4);
    bytes.writeInt32LE(value, at + 8);
  }
  return bytes;
}

const PIXELS: readonly Field[] = [
  [STRIP_OFFSETS, LONG, 40],
  [STRIP_LENGTHS, LONG, 16],
];

describe('isWhole', () => {
  it.each<[string, boolean, Buffer]>([
    ['with all pixels', true, tiff(...PIXELS)],
    ['without pixels', false, tiff([256, BYTE, 1])],
    ['with pixels that start past the end', false, tiff([STRIP_OFFSETS, LONG, 9999])],
    [
      'with pixels that end past the end',
      false,
      tiff([STRIP_OFFSETS, LONG, 40], [STRIP_LENGTHS, LONG, 9999]),
    ],
    [
      'with pixels at a negative offset',
      false,
      tiff([STRIP_OFFSETS, SIGNED, -40], [STRIP_LENGTHS, LONG, 16]),
    ],
    // The value is the offset of a numerator and a denominator, here 0/0.
    ['with pixels at an offset that is no number', false, tiff([STRIP_OFFSETS, RATIONAL, 60])],
    ['with a sub-directory at a negative offset', true, tiff(...PIXELS, [SUB_DIRECTORIES, SIGNED, -5])],
    [
      'with a sub-directory at an offset that is no number',
      true,
      tiff(...PIXELS, [SUB_DIRECTORIES, RATIONAL, 60]),
    ],
    ['with a sub-directory past the end', true, tiff(...PIXELS, [SUB_DIRECTORIES, LONG, 9999])],
  ])('judges a TIFF %s: %s', async (_, expected, bytes) => {
    expect(await isWhole(bytesAt(bytes), bytes.length, 'image/tiff')).toBe(expected);
  });
});
