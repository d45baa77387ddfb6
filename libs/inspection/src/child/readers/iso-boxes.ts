import type { ReadAt } from './read-at.js';

/** A box of an ISO base media file (MP4, HEIF, AVIF) or an atom of QuickTime: the offsets of its content. */
export interface Box {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

/** More siblings than any ordinary file has. */
const MAX_BOXES = 4096;

/** Yields the boxes between two offsets, up to the first invalid one. ISO/IEC 14496-12, 4.2. */
export async function* boxesIn(at: ReadAt, start: number, end: number): AsyncGenerator<Box> {
  let offset = start;
  for (let count = 0; count < MAX_BOXES && offset + 8 <= end; count++) {
    const head = await at(offset, 16);
    if (head.length < 8) return;
    const short = head.readUInt32BE(0);
    if (short === 1 && head.length < 16) return;
    const header = short === 1 ? 16 : 8;
    const size = short === 1 ? Number(head.readBigUInt64BE(8)) : short === 0 ? end - offset : short;
    if (size < header) return;
    yield {
      type: head.toString('latin1', 4, 8),
      start: offset + header,
      end: Math.min(offset + size, end),
    };
    offset += size;
  }
}

/** Follows a path of box types, taking the first match at each step; null if a step has none. */
export async function boxAt(at: ReadAt, within: Box, ...path: string[]): Promise<Box | null> {
  const [type, ...rest] = path;
  if (type === undefined) return within;
  for await (const box of boxesIn(at, within.start, within.end)) {
    if (box.type === type) return boxAt(at, box, ...rest);
  }
  return null;
}

/** Reads the content of a box, at most `most` bytes of it; empty for null. */
export const contentOf = (at: ReadAt, box: Box | null, most: number): Promise<Buffer> =>
  box === null ? Promise.resolve(Buffer.alloc(0)) : at(box.start, Math.min(box.end - box.start, most));
