import type { IAudioMetadata } from 'music-metadata';
import type { FileToRead, Reader } from '../../reader.js';
import { findingOf } from '../finding.js';
import { affordable, type ReadAt, readingFrom, windowed } from '../read-at.js';
import { tagsOf } from './audio.js';
import { probe } from './ffprobe.js';
import { type Film, readMp4 } from './mp4.js';

const BOXES = /^video\/(mp4|quicktime|3gpp2?|x-m4v)$/;
const MAX_PROCESSOR_SECONDS = 5;

function filmOf(tags: IAudioMetadata | null): Partial<Film> {
  const picture = tags?.format.trackInfo.find(({ video }) => video !== undefined)?.video;
  return {
    durationSeconds: tags?.format.duration ?? null,
    title: tags?.common.title ?? null,
    width: picture?.pixelWidth ?? null,
    height: picture?.pixelHeight ?? null,
  };
}

async function boxesOf(file: ReadAt, sizeBytes: number): Promise<Partial<Film>> {
  try {
    return await readMp4(affordable(windowed(file), MAX_PROCESSOR_SECONDS), sizeBytes);
  } catch {
    return {};
  }
}

const readPlainly = ({ path, sizeBytes, detected }: FileToRead): Promise<Partial<Film>> =>
  readingFrom(path, async (at) =>
    BOXES.test(detected) ? boxesOf(at, sizeBytes) : filmOf(await tagsOf(at, sizeBytes)),
  );

/** Length, size as shown, title, time and place of a film: by ffprobe where there is one, else as far as its container tells. */
export const read: Reader = async (file, { ffprobe }) => {
  const probed = ffprobe === null ? null : await probe(ffprobe, file.path);
  return findingOf(probed ?? (await readPlainly(file)));
};
