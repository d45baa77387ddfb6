/** Types that are a ZIP archive inside, by the names that their first entries give them. */
export const ZIP_FAMILY =
  /^(application\/(zip$|epub\+zip$|java-archive$|x-xpinstall$|vnd\.(oasis\.opendocument\.|openxmlformats-officedocument\.|ms-[a-z]+\.[a-z.]*macroenabled|visio$|apple\.(keynote|numbers|pages)$|android\.package-archive$))|model\/3mf$)/i;

/** What an archive may stand behind: programs that unpack themselves, and extensions of Chrome, which always have one. */
export const PROGRAMS = /^application\/x-(msdownload|elf|mach-binary|google-chrome-extension)$/;

/** What is shown or played, as readers and browsers take it. */
export const MEDIA = /^(image\/(?!svg\+xml$)|audio\/|video\/|application\/(pdf|ogg|vnd\.ms-asf)$)/i;

/**
 * Whether somebody looks into files of this type, so that the whole file has to be on disk. Only what can be told from the detected
 * type; kept apart from the readers, which only children load.
 */
export const isInspected = (detected: string | null) =>
  detected !== null && (MEDIA.test(detected) || ZIP_FAMILY.test(detected) || PROGRAMS.test(detected));
