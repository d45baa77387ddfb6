/** Control, line-breaking and direction-changing characters, which no save dialogue should get to see. */
const HOSTILE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;
/**
 * Not for the quoted fallback: other scripts, quotes, escapes, separators, percent signs, which browsers read in different ways;
 * and spaces and plus signs, see below.
 */
const NOT_PLAIN = /[^\x21-\x7e]|["\\/%+]/gu;
/** `encodeURIComponent` leaves them, RFC 8187 does not. */
const NOT_ATTR_CHAR = /['()*]/g;
const percent = (char: string) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`;

/**
 * The value of a Content-Disposition header for a file name of any kind: an ASCII `filename`, and `filename*` in UTF-8
 * wherever that says more. Safe whatever the name: no quote, line break or separator of it gets through. The value is signed
 * as a part of URLs, and clients that take a URL apart and put it together again do not agree on spaces and plus signs
 * (`+` or `%20`, `+` or `%2B`: https://url.spec.whatwg.org/#concept-urlencoded-serializer), so there are none in it.
 * @see https://www.rfc-editor.org/rfc/rfc6266 and https://www.rfc-editor.org/rfc/rfc8187
 */
export function contentDisposition(disposition: 'attachment' | 'inline', filename: string): string {
  const name = filename.toWellFormed().replace(HOSTILE, '_');
  if (name === '') return disposition;
  // Compatibility forms may be quotes and slashes (U+FF02, U+FF0F), so they are taken apart first.
  const fallback = name.normalize('NFKD').replace(/\p{M}/gu, '').replace(NOT_PLAIN, '_') || '_';
  const plain = `${disposition};filename="${fallback}"`;
  if (fallback === name) return plain;
  return `${plain};filename*=UTF-8''${encodeURIComponent(name).replace(NOT_ATTR_CHAR, percent)}`;
}
