import path from 'node:path';

/** A media type without an extension of its own keeps its subtype: those of variants are known that way. */
const EXTENSIONS: Readonly<Record<string, string>> = { jpeg: 'jpg' };

/** The file name of an asset with the extension of a variant: `Beach.HEIC` is `Beach.webp`, as small as it may be. */
export function variantFilename(filename: string, mimeType: string): string {
  const subtype = mimeType.slice(mimeType.indexOf('/') + 1);
  return `${path.posix.parse(filename).name}.${EXTENSIONS[subtype] ?? subtype}`;
}
