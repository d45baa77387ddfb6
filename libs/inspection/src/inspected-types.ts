import { OCTET_STREAM, possibleTypesOf } from '#libs/domain';

/** Types that are a ZIP archive inside, by the names that their first entries give them. */
export const ZIP_FAMILY =
  /^(application\/(zip$|epub\+zip$|java-archive$|x-xpinstall$|vnd\.(oasis\.opendocument\.|openxmlformats-officedocument\.|ms-[a-z]+\.[a-z.]*macroenabled|visio$|apple\.(keynote|numbers|pages)$|android\.package-archive$))|model\/3mf$)/i;

/** What an archive may stand behind: programs that unpack themselves, and extensions of Chrome, which always have one. */
export const PROGRAMS = /^application\/x-(msdownload|elf|mach-binary|google-chrome-extension)$/;

/** What is shown or played, as readers and browsers take it. */
export const MEDIA = /^(image\/(?!svg\+xml$)|audio\/|video\/|application\/(pdf|ogg|vnd\.ms-asf)$)/i;

/** Containers of old Office documents among others: their directory, which shows whether they are encrypted, may lie anywhere. */
export const COMPOUND_FILES = /^application\/x-cfb$/;

/** Not shown in place, and not a guard's business: its size is read. */
const DRAWINGS = /^image\/svg\+xml$/;

const INSPECTED = [MEDIA, DRAWINGS, ZIP_FAMILY, PROGRAMS, COMPOUND_FILES];

/**
 * Whether files of this type are inspected, so that the whole file has to be on disk. Only what can be told from the detected type; kept
 * apart from the readers, which only children load.
 */
export const isInspected = (detected: string | null) =>
  detected !== null && INSPECTED.some((types) => types.test(detected));

/** Whether the bytes of a file may turn out to be of an inspected type, by its declared type. */
export const mayBeInspected = (declared: string) =>
  declared === OCTET_STREAM || possibleTypesOf(declared).some(isInspected);

/**
 * Whether the whole file has to be on disk: to be inspected, or to find its type where the head shows none and the declaration is of
 * an inspected type.
 */
export const needsWholeFile = (declared: string, detected: string | null) =>
  isInspected(detected) || (detected === null && declared !== OCTET_STREAM && mayBeInspected(declared));

/** Of PDF only the number of pages and the title are read: hostile ones keep a process no longer than that is worth. */
const SECONDS: ReadonlyMap<string, number> = new Map([['application/pdf', 10]]);

/** The seconds that a look into a file of this type may take at the most, whatever is configured. */
export const longestLookAt = (detected: string | null) => SECONDS.get(detected ?? '') ?? Infinity;
