import { invalid } from './errors.js';

const MAX_BYTES = 255;
/** Control characters, line separators, bidirectional controls, and characters that show nothing at all. */
const UNSAFE = /\p{Cc}|\p{Cs}|\p{Zl}|\p{Zp}|\p{Bidi_Control}|\p{Default_Ignorable_Code_Point}/u;
/** Letters' business in several scripts and in emoji, and nobody's between Latin letters. */
const JOINERS =
  /(?<=[\p{L}\p{M}\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f])[\u200c\u200d](?=[\p{L}\p{Extended_Pictographic}])|\ufe0f/gu;
const LATIN_JOINER = /[\p{Script=Latin}\p{Nd}][\u200c\u200d]|[\u200c\u200d][\p{Script=Latin}\p{Nd}]/u;

/**
 * A file name as it is shown and offered for download; it is never part of a storage key or a command. Normalised to
 * NFC; 1 to 255 bytes of UTF-8; a path or an invisible character in it is refused rather than repaired.
 * @throws StowageError invalid FILENAME_INVALID
 */
export function parseFilename(text: string, path?: readonly (string | number)[]): string {
  const name = text.normalize('NFC');
  const bytes = Buffer.byteLength(name);
  const refuse = (why: string) => invalid('FILENAME_INVALID', `The file name ${why}.`, path);
  if (name.trim() === '') throw refuse('is empty');
  if (bytes > MAX_BYTES) throw refuse(`is ${bytes} bytes long; at most ${MAX_BYTES} are allowed`);
  if (/[/\\]/.test(name)) throw refuse('contains a path separator');
  if (name === '.' || name === '..') throw refuse('is a path');
  if (LATIN_JOINER.test(name) || UNSAFE.test(name.replace(JOINERS, ''))) {
    throw refuse('contains a control, bidirectional or invisible character');
  }
  return name;
}
