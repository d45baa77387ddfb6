import { invalid } from './errors.js';

export const ASSET_KINDS = ['IMAGE', 'AUDIO', 'VIDEO', 'DOCUMENT', 'OTHER'] as const;
export type AssetKind = (typeof ASSET_KINDS)[number];

/** RFC 6838 §4.2 restricted names; parameters are not part of what Stowage stores. */
const MEDIA_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,62}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}$/;

/** Names that programs use for one and the same type, to the one that Stowage stores. */
const ALIASES: Readonly<Record<string, string>> = {
  'image/jpg': 'image/jpeg',
  'image/pjpeg': 'image/jpeg',
  'image/x-png': 'image/png',
  'image/x-ms-bmp': 'image/bmp',
  'image/x-icon': 'image/vnd.microsoft.icon',
  'audio/mp3': 'audio/mpeg',
  'audio/x-mp3': 'audio/mpeg',
  'audio/x-wav': 'audio/wav',
  'audio/wave': 'audio/wav',
  'audio/vnd.wave': 'audio/wav',
  'audio/x-flac': 'audio/flac',
  'audio/x-m4a': 'audio/mp4',
  'audio/m4a': 'audio/mp4',
  'audio/x-aiff': 'audio/aiff',
  'audio/opus': 'audio/ogg',
  'audio/x-ape': 'audio/ape',
  'application/ogg': 'audio/ogg',
  'video/x-m4v': 'video/mp4',
  'video/x-matroska': 'video/matroska',
  'video/vnd.avi': 'video/x-msvideo',
  'video/avi': 'video/x-msvideo',
  'application/x-pdf': 'application/pdf',
  'application/x-zip-compressed': 'application/zip',
  'application/x-zip': 'application/zip',
  'application/x-java-archive': 'application/java-archive',
  'application/x-jar': 'application/java-archive',
  'application/x-gzip': 'application/gzip',
  'application/x-rar-compressed': 'application/vnd.rar',
  'application/x-rar': 'application/vnd.rar',
  'application/xml': 'text/xml',
  'application/x-javascript': 'text/javascript',
  'application/javascript': 'text/javascript',
  'text/x-markdown': 'text/markdown',
  'text/rtf': 'application/rtf',
  'text/x-vcard': 'text/vcard',
  'image/dng': 'image/x-adobe-dng',
  'audio/x-ms-wma': 'audio/x-ms-asf',
  'video/x-ms-wmv': 'video/x-ms-asf',
};

/** The stored name of a type: lower case, without parameters, aliases folded. */
export const foldMediaType = (type: string) => {
  const bare = (type.split(';', 1)[0] ?? '').trim().toLowerCase();
  return ALIASES[bare] ?? bare;
};

/**
 * A media type as a client declares it: `type/subtype` without parameters or wildcards.
 * @throws StowageError invalid MIME_TYPE_INVALID
 */
export function parseMediaType(text: string, path?: readonly (string | number)[]): string {
  const lower = text.toLowerCase();
  if (!MEDIA_TYPE.test(lower)) {
    throw invalid('MIME_TYPE_INVALID', 'mimeType is type/subtype, without parameters or wildcards.', path);
  }
  return foldMediaType(lower);
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
  /^(application\/(pdf|rtf|msword|epub\+zip|x-cfb|vnd\.(ms-|openxmlformats-|oasis\.opendocument\.).*)|text\/.*)$/;

export function kindOfMediaType(type: string): AssetKind {
  if (type.startsWith('image/')) return 'IMAGE';
  if (type.startsWith('audio/')) return 'AUDIO';
  if (type.startsWith('video/')) return 'VIDEO';
  return DOCUMENTS.test(type) ? 'DOCUMENT' : 'OTHER';
}

/** Types that a browser may show in place without running anything of the uploader's. */
export const isSafeInline = (type: string) =>
  (/^(image|audio|video)\//.test(type) && type !== 'image/svg+xml') ||
  type === 'application/pdf' ||
  type === 'text/plain';
