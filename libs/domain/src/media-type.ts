import { invalid } from './errors.js';
import { foldMediaType } from './media-type-table.js';

export const ASSET_KINDS = ['IMAGE', 'AUDIO', 'VIDEO', 'DOCUMENT', 'OTHER'] as const;
export type AssetKind = (typeof ASSET_KINDS)[number];

/** The declared type of bytes whose type is unknown. */
export const OCTET_STREAM = 'application/octet-stream';

/**
 * RFC 6838 §4.2 restricted names. Parameters may follow (RFC 9110 §8.3.1); their syntax is not checked because they
 * are dropped.
 */
const MEDIA_TYPE =
  /^([a-z0-9][a-z0-9!#$&^_.+-]{0,62}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,62})(?:[ \t]*;[^\p{Cc}\p{Cs}]{0,1000})?$/u;

/**
 * Parses a media type declared by a client: `type/subtype` without wildcards. Parameters (`;codecs=vp9`) are dropped.
 * @returns the canonical name of the type
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
 * Whether a canonical type matches a list of types, under any of their names, and families (`image/jpg`, `audio/*`). An
 * empty list allows every type.
 */
export const isAllowedType = (type: string, allowed: readonly string[]) =>
  allowed.length === 0 ||
  allowed.some(
    (entry) => foldMediaType(entry) === type || (entry.endsWith('/*') && type.startsWith(entry.slice(0, -1))),
  );

/** Canonical types of the kind DOCUMENT. The pattern means the same in PostgreSQL, where lists filter by kind. */
export const DOCUMENT_TYPES =
  /^(application\/(pdf|rtf|msword|epub\+zip|x-cfb|x-tika-ooxml-protected|vnd\.(visio|ms-|openxmlformats-|oasis\.opendocument\.|sun\.xml\.|apple\.(keynote|numbers|pages)$).*)|text\/.*)$/;

/** Returns the kind under which clients filter assets of a canonical type. */
export function kindOfMediaType(type: string): AssetKind {
  if (type.startsWith('image/')) return 'IMAGE';
  if (type.startsWith('audio/')) return 'AUDIO';
  if (type.startsWith('video/')) return 'VIDEO';
  return DOCUMENT_TYPES.test(type) ? 'DOCUMENT' : 'OTHER';
}

/**
 * Whether a browser may display a type inline without running the uploader's code. Browsers parse every type that ends
 * with `+xml`, including SVG, as XML and run scripts in it.
 */
export const isSafeInline = (type: string) =>
  (/^(image|audio|video)\//.test(type) && !type.endsWith('+xml')) ||
  type === 'application/pdf' ||
  type === 'text/plain';
