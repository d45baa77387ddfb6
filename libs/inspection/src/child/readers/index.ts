import type { ReaderEntry } from '../reader.js';

/** Who looks into what. More than one may look into a file; a type that nobody looks into needs no file on disk. */
export const READERS: readonly ReaderEntry[] = [];
