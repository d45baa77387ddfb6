import { invalid } from './errors.js';

const MAX_BYTES = 255;
/** Code units that NFC leaves one of: https://www.unicode.org/faq/normalization.html (maximum expansion factors) */
const MAX_COMPOSED = 4;

/** Control characters, bidirectional overrides and isolates: https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters */
const REFUSED = /[\p{Cc}\u202d\u202e\u2066-\u2069]/u;
const LINE_SEPARATOR = /[\p{Zl}\p{Zp}]/gu;
/** Characters without a glyph: https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point */
const INVISIBLE = /\p{Default_Ignorable_Code_Point}/gu;
/**
 * A run of characters without a glyph. Kept of it are those that change how the character before it looks: the tags of a flag,
 * one variation selector, and one joiner or Mongolian vowel separator, in the order in which writing and emoji use them.
 * https://www.unicode.org/reports/tr51/#Definitions, https://www.unicode.org/versions/Unicode16.0.0/core-spec/chapter-23/
 */
const INVISIBLE_RUN =
  /((?:(?<=\u{1f3f4})[\u{e0030}-\u{e0039}\u{e0061}-\u{e007a}]+\u{e007f})?\p{Variation_Selector}?[\u180e\u200c\u200d]?)\p{Default_Ignorable_Code_Point}*/gu;

/**
 * Cleans a file name as it is shown and offered for download; it is never part of a storage key or a command. Characters
 * without a glyph are removed unless they shape the character before them; line separators become spaces, unpaired surrogates
 * U+FFFD; the result is in NFC and cleaning it again changes nothing.
 * @returns 1 to 255 bytes of UTF-8
 * @throws StowageError invalid FILENAME_INVALID: a control character, a bidirectional override or isolate, a path separator,
 * `.`, `..`, no visible character, or too long
 */
export function parseFilename(text: string, path?: readonly (string | number)[]): string {
  const refuse = (why: string) => invalid('FILENAME_INVALID', `The file name ${why}.`, path);
  const tooLong = (bytes: number) => refuse(`is ${bytes} bytes long; at most ${MAX_BYTES} are allowed`);
  // Normalising a long text may take the square of its length.
  if (text.length > MAX_COMPOSED * MAX_BYTES) throw tooLong(Buffer.byteLength(text));
  if (REFUSED.test(text))
    throw refuse('contains a control character, or one that changes the direction of text');
  const name = text.toWellFormed().replace(LINE_SEPARATOR, ' ').replace(INVISIBLE_RUN, '$1').normalize('NFC');
  const visible = name.replace(INVISIBLE, '').trim();
  if (visible === '') throw refuse('is empty');
  if (visible === '.' || visible === '..') throw refuse('is a path');
  if (/[/\\]/.test(name)) throw refuse('contains a path separator');
  const bytes = Buffer.byteLength(name);
  if (bytes > MAX_BYTES) throw tooLong(bytes);
  return name;
}
