import { foldMediaType } from './media-type.js';

export const OCTET_STREAM = 'application/octet-stream';

/** Types whose bytes are any other text: the declaration says more than the bytes can. */
const TEXT_REFINEMENTS =
  /^(text\/(?!html$|xml$).+|message\/rfc822|application\/(json|[a-z0-9.-]+\+json|x-ndjson|x-sh|x-yaml|yaml|toml|sql|x-subrip|x-tex))$/;
/** Types that are XML inside. HTML and SVG are not among them: a browser would run what they carry. */
const XML_REFINEMENTS = /^(application|text|model)\/(?!xhtml\+xml$)[a-z0-9.-]+\+xml$/;
/** Containers that several declared types share with nothing in their first bytes to tell them apart. */
const CONTAINER_REFINEMENTS: Readonly<Record<string, RegExp>> = {
  'text/plain': TEXT_REFINEMENTS,
  // XML is text, and a fragment of HTML without its root looks like XML; neither is shown in place.
  'text/xml': new RegExp(`${XML_REFINEMENTS.source}|^text/(plain|html|markdown)$`),
  'application/x-cfb':
    /^application\/(msword|vnd\.ms-(excel|powerpoint|outlook|project|works)|vnd\.visio|x-msi|x-ole-storage)$/,
  'image/heic': /^image\/heif$/,
  // Which is what everybody calls it by its name.
  'image/apng': /^image\/png$/,
  'video/x-ms-asf': /^audio\/x-ms-asf$/,
  'audio/x-ms-asf': /^video\/x-ms-asf$/,
  'video/mp4': /^(audio\/mp4|video\/quicktime)$/,
  'video/matroska': /^(audio\/(webm|x-matroska|matroska)|video\/webm)$/,
  'video/webm': /^audio\/webm$/,
  'audio/ogg': /^video\/ogg$/,
  'image/tiff': /^image\/(x-adobe-dng|x-canon-cr2|x-nikon-nef|x-sony-arw|tiff-fx)$/,
};

/** What Windows calls a CSV file where Excel is installed. */
const isCsv = (found: string, promised: string) =>
  found === 'text/plain' && promised === 'application/vnd.ms-excel';

/**
 * The type that an asset has once its bytes were looked at, or null when the declaration is wrong.
 * `detected` null: the bytes have no signature that Stowage knows, so they are {@link OCTET_STREAM}.
 */
export function settleMediaType(declared: string, detected: string | null): string | null {
  const found = foldMediaType(detected ?? OCTET_STREAM);
  const promised = foldMediaType(declared);
  if (promised === OCTET_STREAM || promised === found) return found;
  if (isCsv(found, promised)) return 'text/csv';
  return CONTAINER_REFINEMENTS[found]?.test(promised) === true ? promised : null;
}
