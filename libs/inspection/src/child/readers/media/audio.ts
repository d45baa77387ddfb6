import { type IAudioMetadata, parseBlob } from 'music-metadata';
import type { Reader } from '../../reader.js';
import { findingOf } from '../finding.js';
import { affordable, type ReadAt, readingFrom, windowed } from '../read-at.js';
import { settle } from '../tags.js';
import { secondsOfAmr } from './amr.js';
import { filmOfBoxes } from './mp4.js';

/** The largest file that is walked through, frame by frame, where nothing else says how long it is. */
const MAX_WALKED_BYTES = 64 * 2 ** 20;
const MAX_WALK_SECONDS = 10;
/** Of processor time. Honest files need hundredths; the library holds every atom that it meets, a gigabyte in 10 seconds. */
const MAX_SECONDS = 2;

/** As much of a Blob as the library uses, so that it reads only through what it is given. */
class FileBlob {
  constructor(
    private readonly at: ReadAt,
    readonly size: number,
    readonly type: string,
  ) {}

  slice(start: number, end: number) {
    return { arrayBuffer: () => this.at(start, end - start) };
  }
}

/** Told to the library, which does not find these by their first bytes where other bytes come before the sound. */
const TOLD = /^audio\/mpeg$/;

async function parse(
  file: ReadAt,
  sizeBytes: number,
  detected: string,
  duration: boolean,
): Promise<IAudioMetadata | null> {
  const at = affordable(windowed(file), duration ? MAX_WALK_SECONDS : MAX_SECONDS);
  const blob = new FileBlob(at, sizeBytes, TOLD.test(detected) ? detected : '') as unknown as Blob;
  try {
    return await parseBlob(blob, { duration, skipCovers: true, mkvUseIndex: true });
  } catch {
    return null;
  }
}

/** What the tags and the heads of tracks say; null for what is nothing of the kind, and for what takes too long. */
export async function tagsOf(
  at: ReadAt,
  sizeBytes: number,
  detected: string,
): Promise<IAudioMetadata | null> {
  const tags = await parse(at, sizeBytes, detected, false);
  const isUntold = tags !== null && tags.format.duration === undefined;
  return isUntold && sizeBytes <= MAX_WALKED_BYTES
    ? ((await parse(at, sizeBytes, detected, true)) ?? tags)
    : tags;
}

const BOXES = /^audio\/(mp4|3gpp2?)$/;
const AMR = 'audio/amr';

/** Length, title, artist and album of a piece of music. */
export const read: Reader = ({ path, sizeBytes, detected }) =>
  readingFrom(path, async (at) => {
    if (detected === AMR) {
      return findingOf({ durationSeconds: await secondsOfAmr(at, sizeBytes, MAX_WALKED_BYTES) });
    }
    if (BOXES.test(detected)) {
      const { durationSeconds, sources } = await filmOfBoxes(at, sizeBytes);
      return findingOf({ durationSeconds, ...settle(sources) });
    }
    const tags = await tagsOf(at, sizeBytes, detected);
    if (tags === null) return {};
    const { title, artist, album } = tags.common;
    return findingOf({ durationSeconds: tags.format.duration, title, artist, album });
  });
