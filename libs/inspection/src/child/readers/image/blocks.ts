import type { ReadAt } from '../read-at.js';
import type { TagSources } from '../tags.js';

/** Of one block of tags; what is behind is not read. */
export const MAX_BLOCK_BYTES = 2 ** 20;

/** Blocks of tags in a picture, each as it stands in a file of its own. */
export interface Blocks {
  exif?: Buffer;
  xmp?: Buffer;
  /** Resources of Photoshop. */
  photoshop?: Buffer;
  more?: TagSources;
}

export type Finder = (at: ReadAt, sizeBytes: number) => Promise<Blocks>;

export const EXIF_PREFIX = 'Exif\0\0';
export const startsWith = (bytes: Buffer, text: string) => bytes.toString('latin1', 0, text.length) === text;

/** EXIF as it stands in several containers: with or without a prefix. */
export const withoutPrefix = (bytes: Buffer) =>
  startsWith(bytes, EXIF_PREFIX) ? bytes.subarray(EXIF_PREFIX.length) : bytes;
