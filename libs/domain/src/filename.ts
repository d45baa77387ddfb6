import { invalid } from './errors.js';

const MAX_BYTES = 255;
/** Code units that NFC leaves one of: https://www.unicode.org/faq/normalization.html (maximum expansion factors) */
const MAX_COMPOSED = 4;
/** Control characters, line separators, bidirectional controls, and characters that show nothing at all. */
const UNSAFE = /\p{Cc}|\p{Cs}|\p{Zl}|\p{Zp}|\p{Bidi_Control}|\p{Default_Ignorable_Code_Point}/u;

/** Scripts whose letters take another shape beside a joiner, or do not join beside a non-joiner. */
const JOINING = [
  ...['Arabic', 'Syriac', 'Mandaic', 'Nko', 'Mongolian', 'Phags_Pa', 'Adlam', 'Hanifi_Rohingya'],
  ...['Devanagari', 'Bengali', 'Gurmukhi', 'Gujarati', 'Oriya', 'Tamil', 'Telugu', 'Kannada', 'Malayalam'],
  ...['Sinhala', 'Khmer', 'Myanmar', 'Javanese', 'Balinese', 'Meetei_Mayek', 'Newa'],
];
const LETTER = `(?=\\p{L})[${JOINING.map((script) => `\\p{Script_Extensions=${script}}`).join('')}]`;
const EMOJI = '(?=\\p{Emoji})\\p{Extended_Pictographic}\\ufe0f?\\p{Emoji_Modifier}?';
/** The only places of what is not seen: https://www.unicode.org/reports/tr51/#Definitions, https://www.unicode.org/reports/tr31/#A1 */
const SHAPED = new RegExp(
  [
    `${EMOJI}(\\u200d${EMOJI})*`,
    '[0-9#*]\\ufe0f\\u20e3',
    `(?<=${LETTER}\\p{M}*)[\\u200c\\u200d](?=\\p{M}*${LETTER})`,
    // A consonant without its vowel, as it was written before it had a letter of its own: Bengali, Malayalam.
    '(?<=[\\u09cd\\u0d4d])\\u200d',
  ].join('|'),
  'gu',
);

/**
 * A file name as it is shown and offered for download; it is never part of a storage key or a command. Normalised to
 * NFC; 1 to 255 bytes of UTF-8; a path or an invisible character in it is refused rather than repaired.
 * @throws StowageError invalid FILENAME_INVALID
 */
export function parseFilename(text: string, path?: readonly (string | number)[]): string {
  const refuse = (why: string) => invalid('FILENAME_INVALID', `The file name ${why}.`, path);
  const tooLong = (bytes: number) => refuse(`is ${bytes} bytes long; at most ${MAX_BYTES} are allowed`);
  // Normalising a long text may take the square of its length.
  if (text.length > MAX_COMPOSED * MAX_BYTES) throw tooLong(Buffer.byteLength(text));
  const name = text.normalize('NFC');
  const bytes = Buffer.byteLength(name);
  if (name.trim() === '') throw refuse('is empty');
  if (bytes > MAX_BYTES) throw tooLong(bytes);
  if (/[/\\]/.test(name)) throw refuse('contains a path separator');
  if (name === '.' || name === '..') throw refuse('is a path');
  if (UNSAFE.test(name.replace(SHAPED, ''))) {
    throw refuse('contains a control, bidirectional or invisible character');
  }
  return name;
}
