import { OCTET_STREAM, possibleTypesOf } from '#libs/domain';

/** ZIP-based types, as detected from the first entries of the archive. */
export const ZIP_FAMILY =
  /^(application\/(zip$|epub\+zip$|java-archive$|x-xpinstall$|vnd\.(oasis\.opendocument\.|openxmlformats-officedocument\.|ms-[a-z]+\.[a-z.]*macroenabled|visio$|apple\.(keynote|numbers|pages)$|android\.package-archive$))|model\/3mf$)/i;

/** Types that may be followed by a ZIP archive: self-extracting programs, and Chrome extensions, which always have one. */
export const PROGRAMS = /^application\/x-(msdownload|elf|mach-binary|google-chrome-extension)$/;

/** Media that viewers and browsers display or play. */
export const MEDIA = /^(image\/(?!svg\+xml$)|audio\/|video\/|application\/(pdf|ogg|vnd\.ms-asf)$)/i;

/** Compound files, such as old Office documents. The directory, which reveals encryption, may be anywhere in the file. */
export const COMPOUND_FILES = /^application\/x-cfb$/;

/** SVG is not displayed inline, so the polyglot guard skips it; only its size is read. */
const DRAWINGS = /^image\/svg\+xml$/;

const INSPECTED = [MEDIA, DRAWINGS, ZIP_FAMILY, PROGRAMS, COMPOUND_FILES];

/**
 * Tells from the detected type whether a file is inspected, which requires the whole file on disk. Separate from the
 * readers, which only child processes load.
 */
export const isInspected = (detected: string | null) =>
  detected !== null && INSPECTED.some((types) => types.test(detected));

/** Tells from the declared type whether the bytes of a file may turn out to be of an inspected type. */
export const mayBeInspected = (declared: string) =>
  declared === OCTET_STREAM || possibleTypesOf(declared).some(isInspected);

/**
 * Tells whether the whole file has to be on disk: because it is inspected, or because its head shows no type while the
 * declared type is an inspected one.
 */
export const needsWholeFile = (declared: string, detected: string | null) =>
  isInspected(detected) || (detected === null && declared !== OCTET_STREAM && mayBeInspected(declared));

/** Only the page count and the title are read from a PDF, which does not justify a longer run on a hostile file. */
const PDF_SECONDS = 10;

/** Returns the longest inspection of a file of this type in seconds, a cap on the configured limit; Infinity if none. */
export const longestLookAt = (detected: string | null) =>
  detected === 'application/pdf' ? PDF_SECONDS : Infinity;
