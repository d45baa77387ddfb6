import { type IAudioMetadata, parseBlob } from 'music-metadata';
import type { Reader } from '../../reader.js';
import { findingOf } from '../finding.js';
import { affordable, type ReadAt, readingFrom, windowed } from '../read-at.js';
import { mergeTags } from '../tags.js';
import { secondsOfAmr } from './amr.js';
import { readMp4 } from './mp4.js';

/** Largest file in bytes that is read frame by frame if its headers state no duration. */
const MAX_WALKED_BYTES = 64 * 2 ** 20;
const MAX_WALK_SECONDS = 10;
/** Processor time. Ordinary files need hundredths; music-metadata keeps every atom in memory, a gigabyte in 10 seconds. */
const MAX_SECONDS = 2;

/** The part of Blob that music-metadata uses, so that it reads only through `at`. */
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

/** Types that are passed to music-metadata, which does not detect them if other bytes precede the sound. */
const DECLARED_TYPES = /^audio\/mpeg$/;

async function parse(
  file: ReadAt,
  sizeBytes: number,
  detected: string,
  duration: boolean,
): Promise<IAudioMetadata | null> {
  const at = affordable(windowed(file), duration ? MAX_WALK_SECONDS : MAX_SECONDS);
  const blob = new FileBlob(at, sizeBytes, DECLARED_TYPES.test(detected) ? detected : '') as unknown as Blob;
  try {
    return await parseBlob(blob, { duration, skipCovers: true, mkvUseIndex: true });
  } catch {
    return null;
  }
}

/** Reads tags and track headers; null for a file of another kind, and for one that takes too long. */
export async function tagsOf(
  at: ReadAt,
  sizeBytes: number,
  detected: string,
): Promise<IAudioMetadata | null> {
  const tags = await parse(at, sizeBytes, detected, false);
  const isDurationMissing = tags !== null && tags.format.duration === undefined;
  return isDurationMissing && sizeBytes <= MAX_WALKED_BYTES
    ? ((await parse(at, sizeBytes, detected, true)) ?? tags)
    : tags;
}

const BOXES = /^audio\/(mp4|3gpp2?)$/;
const AMR = 'audio/amr';

/** Reads duration, title, artist and album of an audio file. */
export const read: Reader = ({ path, sizeBytes, detected }) =>
  readingFrom(path, async (at) => {
    if (detected === AMR) {
      return findingOf({ durationSeconds: await secondsOfAmr(at, sizeBytes, MAX_WALKED_BYTES) });
    }
    if (BOXES.test(detected)) {
      const { durationSeconds, sources } = await readMp4(at, sizeBytes);
      return findingOf({ durationSeconds, ...mergeTags(sources) });
    }
    const tags = await tagsOf(at, sizeBytes, detected);
    if (tags === null) return {};
    const { title, artist, album } = tags.common;
    return findingOf({ durationSeconds: tags.format.duration, title, artist, album });
  });
