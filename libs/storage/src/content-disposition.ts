/** Control, line-breaking and bidirectional characters, which can disguise a file name in a save dialog. */
const HOSTILE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;
/**
 * Characters that the quoted `filename` must not contain: non-ASCII, quotes, escapes, separators, percent signs
 * (browsers decode them differently), spaces and plus signs (see {@link contentDisposition}).
 */
const NOT_PLAIN = /[^\x21-\x7e]|["\\/%+]/gu;
/** Characters that `encodeURIComponent` keeps and RFC 8187 does not allow. */
const NOT_ATTR_CHAR = /['()*]/g;
const percent = (char: string) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`;

/**
 * Builds the value of a Content-Disposition header for any file name: an ASCII `filename`, and `filename*` in UTF-8 if
 * the ASCII form differs from the name. Quotes, line breaks and separators of the name are replaced or encoded.
 * The value contains no space or plus sign: it is part of signed URLs, and clients that parse and rebuild a URL encode
 * these two differently (`+` or `%20`, `+` or `%2B`: https://url.spec.whatwg.org/#concept-urlencoded-serializer).
 * @returns the disposition alone if the name is empty
 * @example contentDisposition('attachment', 'ä.png') // attachment;filename="a.png";filename*=UTF-8''%C3%A4.png
 * @see https://www.rfc-editor.org/rfc/rfc6266 and https://www.rfc-editor.org/rfc/rfc8187
 */
export function contentDisposition(disposition: 'attachment' | 'inline', filename: string): string {
  const name = filename.toWellFormed().replace(HOSTILE, '_');
  if (name === '') return disposition;
  // NFKD turns compatibility forms into quotes and slashes (U+FF02, U+FF0F), so it must run before the replacement.
  const fallback = name.normalize('NFKD').replace(/\p{M}/gu, '').replace(NOT_PLAIN, '_') || '_';
  const plain = `${disposition};filename="${fallback}"`;
  if (fallback === name) return plain;
  return `${plain};filename*=UTF-8''${encodeURIComponent(name).replace(NOT_ATTR_CHAR, percent)}`;
}
