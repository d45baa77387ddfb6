import type { Box, Span } from '../iso-boxes.js';
import { type ReadAt, windowed } from '../read-at.js';

/* The parts of pictures that are not made of boxes. */

/** More segments of a JPEG, or chunks of a PNG before its data, than any ordinary file has. */
export const MAX_SEGMENTS = 1000;

interface Segment extends Span {
  /** The first bytes, with the marker at index 1 and the content from index 4. */
  readonly head: Buffer;
}

const SEGMENT_HEAD_BYTES = 9;

/** Yields the segments of a JPEG before its data: ITU-T T.81, B.1.1.4. */
export async function* jpegSegments(at: ReadAt, start: number): AsyncGenerator<Segment> {
  let offset = start + 2;
  for (let count = 0; count < MAX_SEGMENTS; count++) {
    const head = await at(offset, SEGMENT_HEAD_BYTES);
    if (head.length < SEGMENT_HEAD_BYTES || head[0] !== 0xff || head[1] === 0xda || head[1] === 0xd9) return;
    if (head[1] === 0xff) offset += 1;
    else {
      const length = head.readUInt16BE(2);
      yield { head, start: offset + 4, end: offset + Math.max(4, 2 + length) };
      offset += 2 + length;
    }
  }
}

/** Yields the chunks of a PNG from an offset, at most `most`: PNG 3, 5.3. */
export async function* pngChunks(at: ReadAt, start: number, most: number): AsyncGenerator<Box> {
  for (let offset = start, count = 0; count < most; count++) {
    const head = await at(offset, 12);
    if (head.length < 12) return;
    const length = head.readUInt32BE(0);
    yield { type: head.toString('latin1', 4, 8), start: offset + 8, end: offset + 8 + length };
    offset += 12 + length;
  }
}

/** Yields the chunks of a WebP, at most `most`: RFC 9649, 2.3. */
export async function* webpChunks(file: ReadAt, most: number): AsyncGenerator<Box> {
  const at = windowed(file);
  for (let offset = 12, count = 0; count < most; count++) {
    const head = await at(offset, 8);
    if (head.length < 8) return;
    const length = head.readUInt32LE(4);
    yield { type: head.toString('latin1', 0, 4), start: offset + 8, end: offset + 8 + length };
    offset += 8 + length + (length % 2);
  }
}
