import { PROGRAMS, ZIP_FAMILY } from '../../inspected-types.js';
import type { ReaderEntry } from '../reader.js';

/** Who looks into what. More than one may look into a file; a type that nobody looks into needs no file on disk. */
export const READERS: readonly ReaderEntry[] = [
  { types: ZIP_FAMILY, isGuard: true, load: () => import('./archive.js') },
  { types: PROGRAMS, isGuard: true, load: () => import('./program.js') },
  {
    types: /^(image\/(?!svg\+xml$)|audio\/|video\/|application\/pdf$)/,
    isGuard: true,
    load: () => import('./polyglot.js'),
  },
  { types: /^image\/(?!svg\+xml$)/, load: () => import('./image/image.js') },
  { types: /^(audio\/|application\/ogg$)/, load: () => import('./media/audio.js') },
  { types: /^(video\/|application\/vnd\.ms-asf$)/, load: () => import('./media/video.js') },
  { types: /^application\/pdf$/, load: () => import('./pdf.js') },
];
