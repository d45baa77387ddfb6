/** ZIP-based types, as detected from the first entries of the archive. */
export const ZIP_FAMILY =
  /^(application\/(zip$|epub\+zip$|java-archive$|x-xpinstall$|vnd\.(oasis\.opendocument\.|openxmlformats-officedocument\.|ms-[a-z]+\.[a-z.]*macroenabled|visio$|apple\.(keynote|numbers|pages)$|android\.package-archive$))|model\/3mf$)/i;

/** Types that may be followed by a ZIP archive: self-extracting programs, and Chrome extensions, which always have one. */
export const PROGRAMS = /^application\/x-(msdownload|elf|mach-binary|google-chrome-extension)$/;

/** Media that viewers and browsers display or play. */
export const MEDIA = /^(image\/(?!svg\+xml$)|audio\/|video\/|application\/(pdf|ogg|vnd\.ms-asf)$)/i;

/** Compound files, such as old Office documents. The directory, which reveals encryption, may be anywhere in the file. */
export const COMPOUND_FILES = /^application\/x-cfb$/;

export const PDF = /^application\/pdf$/;

/** A row of the table of types whose files are inspected as a whole. Features add rows for their readers and checks. */
export interface InspectedType {
  readonly types: RegExp;
  /** Limit of one inspection, which caps the configured one. */
  readonly seconds?: number;
}

/** The rows of the service. Separate from its readers, which only child processes load. */
export const OWN_TYPES: readonly InspectedType[] = [
  // Only the page count and the title are read from a PDF, which does not justify a longer run on a hostile file.
  { types: PDF, seconds: 10 },
  { types: MEDIA },
  // SVG is not displayed inline, so the polyglot guard skips it; only its size is read.
  { types: /^image\/svg\+xml$/ },
  { types: ZIP_FAMILY },
  { types: PROGRAMS },
  { types: COMPOUND_FILES },
];

/** Whether a row has this type. */
export const isIn = (rows: readonly InspectedType[], type: string | null) =>
  type !== null && rows.some(({ types }) => types.test(type));

/** The configured limit of one inspection in seconds, or the lower one of the file's type. */
export const secondsFor = (detected: string | null, configured: number) =>
  OWN_TYPES.filter((row) => isIn([row], detected)).reduce(
    (least, { seconds = configured }) => Math.min(least, seconds),
    configured,
  );
