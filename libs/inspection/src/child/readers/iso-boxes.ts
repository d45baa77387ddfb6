import type { ReadAt } from './read-at.js';

/** A box of an ISO base media file (MP4, HEIF, AVIF), an atom of QuickTime: where its content begins and ends. */
export interface Box {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

/** More than any honest file has beside each other. */
const MAX_BOXES = 4096;

/** The boxes between two offsets, up to the first that is none. ISO/IEC 14496-12, 4.2. */
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

/** The first box at each step of a path; null when there is none. */
export async function boxAt(at: ReadAt, within: Box, ...path: string[]): Promise<Box | null> {
  const [type, ...rest] = path;
  if (type === undefined) return within;
  for await (const box of boxesIn(at, within.start, within.end)) {
    if (box.type === type) return boxAt(at, box, ...rest);
  }
  return null;
}

/** The content of a box, no more than so many bytes of it. */
export const contentOf = (at: ReadAt, box: Box | null, most: number): Promise<Buffer> =>
  box === null ? Promise.resolve(Buffer.alloc(0)) : at(box.start, Math.min(box.end - box.start, most));
