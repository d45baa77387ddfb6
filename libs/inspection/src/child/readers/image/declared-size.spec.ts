import { describe, expect, it } from '@jest/globals';
import { bytesAt } from '../read-at.js';
import { declaredSize } from './declared-size.js';

const MAX_FRAMES = 3;

const chunk = (type: string, content: Buffer) => {
  const head = Buffer.alloc(8);
  head.write(type, 'latin1');
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, content, Buffer.alloc(content.length % 2)]);
};
const frame = chunk('ANMF', Buffer.alloc(17));
/** A TIFF of 300 × 200 pixels before its orientation is applied. */
function tiff(orientation: number): Buffer {
  const fields = [
    [256, 300],
    [257, 200],
    [274, orientation],
  ] as const;
  const bytes = Buffer.alloc(10 + 12 * fields.length + 4);
  bytes.write('II*\0\x08\0\0\0\x03', 'latin1');
  for (const [index, [tag, value]] of fields.entries()) {
    const at = 10 + 12 * index;
    bytes.writeUInt16LE(tag, at);
    bytes.writeUInt16LE(3, at + 2);
    bytes.writeUInt32LE(1, at + 4);
    bytes.writeUInt16LE(value, at + 8);
  }
  return bytes;
}

const webp = (...chunks: readonly Buffer[]) =>
  chunk('RIFF', Buffer.concat([Buffer.from('WEBP'), chunk('VP8X', Buffer.alloc(10)), ...chunks]));

describe('declaredSize', () => {
  it.each([
    ['a still WebP', webp(chunk('VP8L', Buffer.alloc(5))), 1],
    ['an animation', webp(frame, chunk('XMP ', Buffer.alloc(3)), frame), 2],
    ['a truncated animation', Buffer.concat([webp(frame), Buffer.from('ANM')]), 1],
    ['an animation at the limit', webp(frame, frame, frame), MAX_FRAMES],
    [
      'an animation over the limit, up to one too many',
      webp(...Array.from({ length: 1000 }, () => frame)),
      MAX_FRAMES + 1,
    ],
  ])('counts the frames of %s', async (_, bytes, frames) => {
    expect(await declaredSize(bytesAt(bytes), bytes.length, 'image/webp', MAX_FRAMES)).toEqual({
      width: 1,
      height: 1,
      frames,
    });
  });

  it.each(['image/tiff', 'image/x-nikon-nef'])(
    'swaps width and height of %s for the orientations 5 to 8 only',
    async (type) => {
      const swapped: number[] = [];
      for (const orientation of Array.from({ length: 20 }, (_, value) => value)) {
        const bytes = tiff(orientation);
        const found = await declaredSize(bytesAt(bytes), bytes.length, type, MAX_FRAMES);
        if (found?.width === 200 && found.height === 300) swapped.push(orientation);
        else expect(found).toEqual({ width: 300, height: 200, frames: 1 });
      }
      expect(swapped).toEqual([5, 6, 7, 8]);
    },
  );
});
