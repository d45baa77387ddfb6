import type { IAudioMetadata } from 'music-metadata';
import type { FileToRead, Reader } from '../../reader.js';
import { findingOf } from '../finding.js';
import { readingFrom } from '../read-at.js';
import { mergeTags } from '../tags.js';
import { tagsOf } from './audio.js';
import { probe } from './ffprobe.js';
import { type VideoInfo, readMp4 } from './mp4.js';

const BOXES = /^video\/(mp4|quicktime|3gpp2?|x-m4v)$/;

function filmOf(tags: IAudioMetadata | null): VideoInfo {
  const { title, artist, album } = tags?.common ?? {};
  const picture = tags?.format.trackInfo.find(({ video }) => video !== undefined)?.video;
  return {
    durationSeconds: tags?.format.duration ?? null,
    width: picture?.pixelWidth ?? null,
    height: picture?.pixelHeight ?? null,
    sources: { udta: { title, artist, album } },
  };
}

const readWithoutFfprobe = ({ path, sizeBytes, detected }: FileToRead): Promise<VideoInfo> =>
  readingFrom(path, async (at) =>
    BOXES.test(detected) ? readMp4(at, sizeBytes) : filmOf(await tagsOf(at, sizeBytes, detected)),
  );

/** Reads duration, displayed size, title, time and location of a video, with ffprobe if configured. */
export const read: Reader = async (file, { ffprobe }) => {
  const probed = ffprobe === null ? null : await probe(ffprobe, file.path);
  const { sources, ...film } = probed ?? (await readWithoutFfprobe(file));
  return findingOf({ ...film, ...mergeTags(sources) });
};
