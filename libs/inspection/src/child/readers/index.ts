import { COMPOUND_FILES, MEDIA, PDF, PROGRAMS, ZIP_FAMILY } from '../../type-table.js';
import type { ReaderEntry } from '../reader.js';

/** The built-in readers. Several may read one file. A type without a reader needs no file on disk. */
export const READERS: readonly ReaderEntry[] = [
  { types: ZIP_FAMILY, isGuard: true, load: () => import('./archive.js') },
  { types: PROGRAMS, isGuard: true, load: () => import('./program.js') },
  { types: COMPOUND_FILES, isGuard: true, load: () => import('./compound-file.js') },
  { types: MEDIA, isGuard: true, load: () => import('./polyglot.js') },
  { types: /^image\//, load: () => import('./image/image.js') },
  { types: /^(audio\/|application\/ogg$)/, load: () => import('./media/audio.js') },
  { types: /^(video\/|application\/vnd\.ms-asf$)/, load: () => import('./media/video.js') },
  { types: PDF, load: () => import('./pdf.js') },
];

/** Guard for files on disk that have no guard of their own, because only a reader checks the end of such a file. */
const LAST_GUARD: ReaderEntry = { types: /^/, isGuard: true, load: () => import('./appended.js') };

/** Returns the readers for a type, always including a guard. */
export function readersOf(detected: string, readers: readonly ReaderEntry[]): readonly ReaderEntry[] {
  const found = readers.filter(({ types }) => types.test(detected));
  return found.some(({ isGuard }) => isGuard) ? found : [LAST_GUARD, ...found];
}
