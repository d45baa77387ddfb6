import { invalid } from './errors.js';

const MAX_BYTES = 255;
/**
 * Maximum number of code units that NFC composes to one: https://www.unicode.org/faq/normalization.html (maximum
 * expansion factors)
 */
const MAX_COMPOSED = 4;

/**
 * Control characters, bidirectional overrides and isolates:
 * https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters
 */
const FORBIDDEN = /[\p{Cc}\u202d\u202e\u2066-\u2069]/u;
const LINE_SEPARATOR = /[\p{Zl}\p{Zp}]/gu;
/** Characters that have no glyph: https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point */
const INVISIBLE = /\p{Default_Ignorable_Code_Point}/gu;
/**
 * A run of characters without a glyph. The captured part is kept because it changes the character before it: the tags
 * of a flag, one variation selector, and one joiner or Mongolian vowel separator, in the order that scripts and emoji
 * use. https://www.unicode.org/reports/tr51/#Definitions,
 * https://www.unicode.org/versions/Unicode16.0.0/core-spec/chapter-23/
 */
const INVISIBLE_RUN =
  /((?:(?<=\u{1f3f4})[\u{e0030}-\u{e0039}\u{e0061}-\u{e007a}]+\u{e007f})?\p{Variation_Selector}?[\u180e\u200c\u200d]?)\p{Default_Ignorable_Code_Point}*/gu;

/**
 * Normalizes a file name for display and download; it never becomes part of a storage key or a command. Characters
 * without a glyph are removed unless they shape the character before them; line separators become spaces, unpaired
 * surrogates U+FFFD. The result is in NFC and stays unchanged when normalized again.
 * @returns 1 to 255 bytes of UTF-8
 * @throws StowageError invalid FILENAME_INVALID for a control character, a bidirectional override or isolate, a path
 * separator, `.`, `..`, no visible character, or more than 255 bytes
 */
export function parseFilename(text: string, path?: readonly (string | number)[]): string {
  const refuse = (why: string) => invalid('FILENAME_INVALID', `The file name ${why}.`, path);
  const tooLong = (bytes: number) => refuse(`is ${bytes} bytes long; at most ${MAX_BYTES} are allowed`);
  // Normalizing a long text may take quadratic time.
  if (text.length > MAX_COMPOSED * MAX_BYTES) throw tooLong(Buffer.byteLength(text));
  if (FORBIDDEN.test(text))
    throw refuse('contains a control character or a character that overrides the text direction');
  const name = text.toWellFormed().replace(LINE_SEPARATOR, ' ').replace(INVISIBLE_RUN, '$1').normalize('NFC');
  const visible = name.replace(INVISIBLE, '').trim();
  if (visible === '') throw refuse('is empty');
  if (visible === '.' || visible === '..') throw refuse('is a path');
  if (/[/\\]/.test(name)) throw refuse('contains a path separator');
  const bytes = Buffer.byteLength(name);
  if (bytes > MAX_BYTES) throw tooLong(bytes);
  return name;
}
