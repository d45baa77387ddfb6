import { invalid } from './errors.js';
import { foldMediaType } from './media-type-table.js';

export const ASSET_KINDS = ['IMAGE', 'AUDIO', 'VIDEO', 'DOCUMENT', 'OTHER'] as const;
export type AssetKind = (typeof ASSET_KINDS)[number];

/** What is declared of bytes that nothing is known of. */
export const OCTET_STREAM = 'application/octet-stream';

/** RFC 6838 §4.2 restricted names. Parameters may follow, as in RFC 9110 §8.3.1 but without looking into them: Stowage keeps none. */
const MEDIA_TYPE =
  /^([a-z0-9][a-z0-9!#$&^_.+-]{0,62}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,62})(?:[ \t]*;[^\p{Cc}\p{Cs}]{0,1000})?$/u;

/**
 * A media type as a client declares it: `type/subtype` without wildcards. Parameters (`;codecs=vp9`) are dropped.
 * @throws StowageError invalid MIME_TYPE_INVALID
 */
export function parseMediaType(text: string, path?: readonly (string | number)[]): string {
  const [, type] = MEDIA_TYPE.exec(text.toLowerCase()) ?? [];
  if (type === undefined) {
    throw invalid(
      'MIME_TYPE_INVALID',
      'mimeType must be one type/subtype without wildcards; parameters after a semicolon are ignored.',
      path,
    );
  }
  return foldMediaType(type);
}

/**
 * Whether a stored type is one of a list of types, by whichever of their names, and families (`image/jpg`, `audio/*`). An
 * empty list allows everything.
 */
export const isAllowedType = (type: string, allowed: readonly string[]) =>
  allowed.length === 0 ||
  allowed.some(
    (entry) => foldMediaType(entry) === type || (entry.endsWith('/*') && type.startsWith(entry.slice(0, -1))),
  );

const DOCUMENTS =
  /^(application\/(pdf|rtf|msword|epub\+zip|x-cfb|x-tika-ooxml-protected|vnd\.(visio|ms-|openxmlformats-|oasis\.opendocument\.|sun\.xml\.|apple\.(keynote|numbers|pages)$).*)|text\/.*)$/;

export function kindOfMediaType(type: string): AssetKind {
  if (type.startsWith('image/')) return 'IMAGE';
  if (type.startsWith('audio/')) return 'AUDIO';
  if (type.startsWith('video/')) return 'VIDEO';
  return DOCUMENTS.test(type) ? 'DOCUMENT' : 'OTHER';
}

/**
 * Types that a browser may show in place without running anything of the uploader's. It parses all that ends with `+xml`, SVG among
 * them, as XML, and runs the scripts in it.
 */
export const isSafeInline = (type: string) =>
  (/^(image|audio|video)\//.test(type) && !type.endsWith('+xml')) ||
  type === 'application/pdf' ||
  type === 'text/plain';
