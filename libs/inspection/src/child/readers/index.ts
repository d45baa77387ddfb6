import { COMPOUND_FILES, MEDIA, PROGRAMS, ZIP_FAMILY } from '../../inspected-types.js';
import type { ReaderEntry } from '../reader.js';

/** Who looks into what. More than one may look into a file; a type that nobody looks into needs no file on disk. */
export const READERS: readonly ReaderEntry[] = [
  { types: ZIP_FAMILY, isGuard: true, load: () => import('./archive.js') },
  { types: PROGRAMS, isGuard: true, load: () => import('./program.js') },
  { types: COMPOUND_FILES, isGuard: true, load: () => import('./compound-file.js') },
  { types: MEDIA, isGuard: true, load: () => import('./polyglot.js') },
  { types: /^image\//, load: () => import('./image/image.js') },
  { types: /^(audio\/|application\/ogg$)/, load: () => import('./media/audio.js') },
  { types: /^(video\/|application\/vnd\.ms-asf$)/, load: () => import('./media/video.js') },
  { types: /^application\/pdf$/, load: () => import('./pdf.js') },
];

/** For files that are on disk, so that nobody else looks at their end, and have no guard of their own. */
const LAST_GUARD: ReaderEntry = { types: /^/, isGuard: true, load: () => import('./appended.js') };

/** Who looks into files of a type, a guard in any case. */
export function readersOf(detected: string, readers: readonly ReaderEntry[]): readonly ReaderEntry[] {
  const found = readers.filter(({ types }) => types.test(detected));
  return found.some(({ isGuard }) => isGuard) ? found : [LAST_GUARD, ...found];
}
