import type { ReadAt } from '../read-at.js';
import type { TagSources } from '../tags.js';

/** Limit of one block of tags. Bytes after it are ignored. */
export const MAX_BLOCK_BYTES = 2 ** 20;

/** Blocks of tags in a picture, each in the form of a file of its own. */
export interface Blocks {
  exif?: Buffer;
  xmp?: Buffer;
  /** Photoshop image resources. */
  photoshop?: Buffer;
  more?: TagSources;
}

/** Finds the blocks of tags in a picture of one format. */
export type Finder = (at: ReadAt, sizeBytes: number) => Promise<Blocks>;

export const EXIF_PREFIX = 'Exif\0\0';
export const startsWith = (bytes: Buffer, text: string) => bytes.toString('latin1', 0, text.length) === text;

/** Decompresses a block; empty when the block is damaged or too large. */
export function decompressed(
  decompress: (bytes: Buffer, limits: { readonly maxOutputLength: number }) => Buffer,
  bytes: Buffer,
): Buffer {
  try {
    return decompress(bytes, { maxOutputLength: MAX_BLOCK_BYTES });
  } catch {
    return Buffer.alloc(0);
  }
}

/** Removes the prefix that some containers put before EXIF. */
export const withoutPrefix = (bytes: Buffer) =>
  startsWith(bytes, EXIF_PREFIX) ? bytes.subarray(EXIF_PREFIX.length) : bytes;
