import { adtsFrame, hasFrames, mpegFrame } from './audio-frames.js';
import type { ByteSource } from './bounded-file.js';

/*
 * ID3v2 tags, which programs write before audio of several formats, even of those with tags of their own:
 * https://id3.org/id3v2.4.0-structure, 3.1.
 */

const HEADER_BYTES = 10;
const FOOTER_FLAG = 0x10;
const MAX_TAGS = 16;
/** Bytes to read after the tags: padding, remains of other tags, then the audio. */
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

/** The length of a tag in bytes; null without a tag. */
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
const hasKnownVersion = (file: ByteSource) => file.read(3, 1)[0]! <= LAST_VERSION;

const upTo = (file: ByteSource, at: number, length: number) =>
  file.read(Math.min(at, file.sizeBytes), Math.max(0, Math.min(length, file.sizeBytes - at)));

/**
 * Detects the audio type of a file that begins with ID3 tags; null without tags, or without audio after them.
 * @param isCut `file` is only the head of a longer file: audio beyond it is assumed to be MPEG, for which ID3 was made
 */
export function id3AudioType(file: ByteSource, isCut: boolean): string | null {
  let at = 0;
  for (let tags = 0; tags < MAX_TAGS; tags++) {
    const bytes = tagBytes(upTo(file, at, HEADER_BYTES));
    if (bytes === null) break;
    at += bytes;
  }
  if (at === 0) return null;
  // The file ends inside a tag. MPEG is assumed, because there is no evidence of another format.
  if (at > file.sizeBytes) return hasKnownVersion(file) ? DEFAULT : null;
  const window = upTo(file, at, WINDOW_BYTES);
  const start = window.toString('latin1', 0, 4);
  const format = FORMATS.find(([name]) => start.startsWith(name));
  if (format !== undefined) return format[1];
  const isKnown = !isCut || window.length === WINDOW_BYTES;
  if (hasFrames(window, mpegFrame) || !isKnown) return DEFAULT;
  return hasFrames(window, adtsFrame) ? 'audio/aac' : null;
}
