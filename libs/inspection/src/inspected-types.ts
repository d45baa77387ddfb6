/**
 * Types that somebody looks into, so that the whole file has to be on disk. Only what can be told from the detected type; kept
 * apart from the readers, which only children load.
 */
const INSPECTED =
  /^(image\/(?!svg\+xml$)|audio\/|video\/|application\/(pdf|zip|epub\+zip|java-archive|vnd\.(oasis\.opendocument|openxmlformats-officedocument|ms-(excel|word|powerpoint)\.[\w.]*macroenabled|android\.package-archive)))/i;

export const isInspected = (detected: string | null) => detected !== null && INSPECTED.test(detected);
