import type { ReadAt } from '../read-at.js';

/** Bytes of a 20 ms frame with its header, by frame type. 3GPP TS 26.101 and 26.201, annex A, stored as in RFC 4867, 5.3. */
const NARROW = [13, 14, 16, 18, 20, 21, 27, 32, 6, 1, 1, 1, 1, 1, 1, 1];
const WIDE = [18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 1, 1, 1, 1, 1, 1];
const FORMATS = [
  ['#!AMR\n', NARROW],
  ['#!AMR-WB\n', WIDE],
] as const;
const FRAMES_PER_SECOND = 50;
const CHUNK_BYTES = 65_536;

/** Counts the frames of an AMR recording, in seconds; null for other files and for files of more than `maxBytes`. */
export async function secondsOfAmr(at: ReadAt, sizeBytes: number, maxBytes: number): Promise<number | null> {
  const head = (await at(0, 9)).toString('latin1');
  const format = FORMATS.find(([magic]) => head.startsWith(magic));
  if (format === undefined || sizeBytes > maxBytes) return null;
  const [magic, frameBytes] = format;
  let frames = 0;
  let offset: number = magic.length;
  for (let start = 0; start < sizeBytes; start += CHUNK_BYTES) {
    const chunk = await at(start, CHUNK_BYTES);
    for (; offset < start + chunk.length; frames++) {
      offset += frameBytes[(chunk[offset - start]! >> 3) & 0x0f]!;
    }
  }
  return frames / FRAMES_PER_SECOND;
}
