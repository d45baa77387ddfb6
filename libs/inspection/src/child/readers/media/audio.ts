import { type IAudioMetadata, parseBlob } from 'music-metadata';
import type { Reader } from '../../reader.js';
import { findingOf } from '../finding.js';
import { affordable, type ReadAt, readingFrom, windowed } from '../read-at.js';

/** The largest file that is walked through, frame by frame, where nothing else says how long it is. */
const MAX_WALKED_BYTES = 64 * 2 ** 20;
const MAX_WALK_SECONDS = 10;
/** Of processor time. Honest files need hundredths; the library holds every atom that it meets, a gigabyte in 10 seconds. */
const MAX_SECONDS = 2;

/** As much of a Blob as the library uses, so that it reads only through what it is given. */
class FileBlob {
  readonly type = '';

  constructor(
    private readonly at: ReadAt,
    readonly size: number,
  ) {}

  slice(start: number, end: number) {
    return { arrayBuffer: () => this.at(start, end - start) };
  }
}

async function parse(file: ReadAt, sizeBytes: number, duration: boolean): Promise<IAudioMetadata | null> {
  const at = affordable(windowed(file), duration ? MAX_WALK_SECONDS : MAX_SECONDS);
  const blob = new FileBlob(at, sizeBytes) as unknown as Blob;
  try {
    return await parseBlob(blob, { duration, skipCovers: true, mkvUseIndex: true });
  } catch {
    return null;
  }
}

/** What the tags and the heads of tracks say; null for what is nothing of the kind, and for what takes too long. */
export async function tagsOf(at: ReadAt, sizeBytes: number): Promise<IAudioMetadata | null> {
  const tags = await parse(at, sizeBytes, false);
  const isUntold = tags !== null && tags.format.duration === undefined;
  return isUntold && sizeBytes <= MAX_WALKED_BYTES ? ((await parse(at, sizeBytes, true)) ?? tags) : tags;
}

/** Length, title, artist and album of a piece of music. */
export const read: Reader = ({ path, sizeBytes }) =>
  readingFrom(path, async (at) => {
    const tags = await tagsOf(at, sizeBytes);
    if (tags === null) return {};
    const { title, artist, album } = tags.common;
    return findingOf({ durationSeconds: tags.format.duration, title, artist, album });
  });
