import path from 'node:path';

/** Extensions that differ from the subtype; all other variant types use their subtype as extension. */
const EXTENSIONS: Readonly<Record<string, string>> = { jpeg: 'jpg' };

/** The file name of an asset with the extension of a variant: `Beach.webp` for a WebP variant of `Beach.HEIC`. */
export function variantFilename(filename: string, mimeType: string): string {
  const subtype = mimeType.slice(mimeType.indexOf('/') + 1);
  return `${path.posix.parse(filename).name}.${EXTENSIONS[subtype] ?? subtype}`;
}
