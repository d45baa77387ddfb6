import { type IAudioMetadata, parseFile } from 'music-metadata';
import type { Reader } from '../../reader.js';
import { findingOf } from '../finding.js';

/** The largest file that is walked through, frame by frame, where nothing else says how long it is: 15 ms a mebibyte. */
const MAX_WALKED_BYTES = 256 * 2 ** 20;

async function parse(path: string, duration: boolean): Promise<IAudioMetadata | null> {
  try {
    return await parseFile(path, { duration, skipCovers: true, mkvUseIndex: true });
  } catch {
    return null;
  }
}

/** What the tags and the heads of tracks say; null for what is nothing of the kind. */
export async function tagsOf(path: string, sizeBytes: number): Promise<IAudioMetadata | null> {
  const tags = await parse(path, false);
  const isUntold = tags !== null && tags.format.duration === undefined;
  return isUntold && sizeBytes <= MAX_WALKED_BYTES ? ((await parse(path, true)) ?? tags) : tags;
}

/** Length, title, artist and album of a piece of music. */
export const read: Reader = async ({ path, sizeBytes }) => {
  const tags = await tagsOf(path, sizeBytes);
  if (tags === null) return {};
  const { title, artist, album } = tags.common;
  return findingOf({ durationSeconds: tags.format.duration, title, artist, album });
};
