import type { ReadAt } from './read-at.js';

/** The offsets of a part of a file. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A box of an ISO base media file (MP4, HEIF, AVIF) or an atom of QuickTime: the offsets of its content. */
export interface Box extends Span {
  /** Four characters, or a UUID in hexadecimal. */
  readonly type: string;
}

export const wholeFile = (sizeBytes: number): Span => ({ start: 0, end: sizeBytes });

/** Skips version and flags, which come first in a full box. */
export const afterVersion = (box: Span | null): Span | null => box && { start: box.start + 4, end: box.end };

/** More siblings than any ordinary file has. */
const MAX_BOXES = 4096;
const UUID_BYTES = 16;
const MAX_HEADER_BYTES = 16;

/** Yields the boxes in a part of a file, up to the first invalid one. ISO/IEC 14496-12, 4.2. */
export async function* boxesIn(at: ReadAt, within: Span | null): AsyncGenerator<Box> {
  if (within === null) return;
  let offset = within.start;
  for (let count = 0; count < MAX_BOXES && offset + 8 <= within.end; count++) {
    const head = await at(offset, MAX_HEADER_BYTES + UUID_BYTES);
    if (head.length < 8) return;
    const short = head.readUInt32BE(0);
    if (short === 1 && head.length < 16) return;
    const header = short === 1 ? 16 : 8;
    const size = short === 1 ? Number(head.readBigUInt64BE(8)) : short === 0 ? within.end - offset : short;
    if (size < header) return;
    const type = head.toString('latin1', 4, 8);
    const start = offset + header;
    const end = Math.min(offset + size, within.end);
    yield type === 'uuid' && start + UUID_BYTES <= end
      ? { type: head.toString('hex', header, header + UUID_BYTES), start: start + UUID_BYTES, end }
      : { type, start, end };
    offset += size;
  }
}

/** Follows a path of box types, taking the first match at each step; null if a step has none. */
export async function boxAt(at: ReadAt, within: Span | null, ...path: string[]): Promise<Span | null> {
  const [type, ...rest] = path;
  if (type === undefined) return within;
  for await (const box of boxesIn(at, within)) {
    if (box.type === type) return boxAt(at, box, ...rest);
  }
  return null;
}

/** Reads the content of a box, at most `most` bytes of it; empty for null. */
export const contentOf = (at: ReadAt, box: Span | null, most: number): Promise<Buffer> =>
  box === null ? Promise.resolve(Buffer.alloc(0)) : at(box.start, Math.min(box.end - box.start, most));
