import { adtsFrame, hasFrames, mpegFrame } from './audio-frames.js';
import type { Pieces } from './bounded-file.js';

/* https://id3.org/id3v2.4.0-structure, 3.1: tags that programs write before sound of several kinds, also where it has tags of its own. */

const HEADER_BYTES = 10;
const FOOTER_FLAG = 0x10;
const MAX_TAGS = 16;
/** Of what follows the tags: padding, rests of other tags, then the sound. */
const WINDOW_BYTES = 65_536;

const FORMATS: readonly (readonly [start: string, type: string])[] = [
  ['fLaC', 'audio/flac'],
  ['MAC ', 'audio/ape'],
  ['MP+', 'audio/x-musepack'],
  ['MPCK', 'audio/x-musepack'],
  ['OggS', 'audio/ogg'],
  ['TTA1', 'audio/x-tta'],
  ['wvpk', 'audio/wavpack'],
];

const DEFAULT = 'audio/mpeg';

/** The bytes of a tag, or null where there is none. */
function tagBytes(header: Buffer): number | null {
  const size = header.subarray(6, HEADER_BYTES);
  const isTag =
    header.length === HEADER_BYTES &&
    header.toString('latin1', 0, 3) === 'ID3' &&
    header[3]! < 0xff &&
    header[4]! < 0xff &&
    size.every((byte) => byte < 0x80);
  if (!isTag) return null;
  const content = size.reduce((sum, byte) => (sum << 7) | byte, 0);
  return HEADER_BYTES + content + ((header[5]! & FOOTER_FLAG) === 0 ? 0 : HEADER_BYTES);
}

const LAST_VERSION = 4;
const hasKnownVersion = (file: Pieces) => file.read(3, 1)[0]! <= LAST_VERSION;

const upTo = (file: Pieces, at: number, length: number) =>
  file.read(Math.min(at, file.sizeBytes), Math.max(0, Math.min(length, file.sizeBytes - at)));

/**
 * What sound a file is that begins with tags; null when it has no tags, or no sound behind them. Where only the head of it is known,
 * sound that lies behind is taken to be MPEG's, for which the tags were made.
 */
export function taggedType(file: Pieces, isCut: boolean): string | null {
  let at = 0;
  for (let tags = 0; tags < MAX_TAGS; tags++) {
    const bytes = tagBytes(upTo(file, at, HEADER_BYTES));
    if (bytes === null) break;
    at += bytes;
  }
  if (at === 0) return null;
  // What of a tag is missing is not known to have had anything else behind it.
  if (at > file.sizeBytes) return hasKnownVersion(file) ? DEFAULT : null;
  const window = upTo(file, at, WINDOW_BYTES);
  const start = window.toString('latin1', 0, 4);
  const format = FORMATS.find(([name]) => start.startsWith(name));
  if (format !== undefined) return format[1];
  const isKnown = !isCut || window.length === WINDOW_BYTES;
  if (hasFrames(window, mpegFrame) || !isKnown) return DEFAULT;
  return hasFrames(window, adtsFrame) ? 'audio/aac' : null;
}
