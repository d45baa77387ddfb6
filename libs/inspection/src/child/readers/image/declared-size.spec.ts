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
});
