/** Real: the files, the libraries, and ffmpeg and ffprobe if they are on PATH. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmod, readFile, stat } from 'node:fs/promises';
import { describe, expect, it } from '@jest/globals';
import { fileOf, readBytes, readFileWith, countCpuTimeChecks, useFolder } from './readers.harness.js';
import * as samples from './samples.js';

useFolder();

const TAGS: samples.Tags = { title: 'Für Elise', artist: 'Beethoven', album: 'Bagatelles' };

describe('audio files', () => {
  it.each<[string, Buffer, Record<string, unknown>]>([
    ['WAV', samples.wav(3), { durationSeconds: 3 }],
    ['FLAC', samples.flac(62, TAGS), { durationSeconds: 62, ...TAGS }],
    ['Ogg Vorbis', samples.ogg(5, TAGS), { durationSeconds: 5, ...TAGS }],
    ['MP3', samples.mp3(100, TAGS), { durationSeconds: 2.612, ...TAGS }],
    ['MP3 with a gap after its tags', samples.mp3(100, TAGS, 4000), { durationSeconds: 2.612, ...TAGS }],
    ['AMR', samples.amr(50), { durationSeconds: 1 }],
    ['AMR cut within a frame', samples.amr(50).subarray(0, -9), { durationSeconds: 1 }],
    ['wideband AMR', samples.amr(25, true), { durationSeconds: 0.5 }],
    [
      'MP4 with iTunes tags',
      samples.mp4({ seconds: 4, handler: 'soun', brand: 'M4A ', more: [samples.songTags(TAGS)] }),
      { durationSeconds: 4, ...TAGS },
    ],
    [
      '3GPP with 3GPP tags',
      samples.mp4({ seconds: 4, handler: 'soun', brand: '3gp4', more: [samples.tags3gpp(TAGS)] }),
      { durationSeconds: 4, ...TAGS },
    ],
    [
      'FLAC with hostile tags',
      samples.flac(1, { ...TAGS, title: `\0${'ä'.repeat(600)}`, artist: '\u202e \x07', album: '' }),
      { durationSeconds: 1, title: 'ä'.repeat(512) },
    ],
  ])('have a duration and tags: %s', async (_, bytes, properties) => {
    expect(await readBytes(bytes)).toEqual({ properties });
  });

  it('have no properties if the content is not audio', async () => {
    expect(await readBytes(Buffer.from('nothing of the kind'), { detected: 'audio/ogg' })).toEqual({});
  });
});

const APPLE = {
  'location.ISO6709': '+27.5916+086.5640+8850/',
  creationdate: '2022-03-04T05:06:07+0545',
  make: 'Apple',
  model: 'iPhone',
  title: 'Summit',
};
const APPLE_FOUND = {
  hasLocation: true,
  latitude: 27.5916,
  longitude: 86.564,
  takenAt: new Date('2022-03-03T23:21:07Z'),
  takenAtLocal: '2022-03-04T05:06:07',
  cameraMake: 'Apple',
  cameraModel: 'iPhone',
  title: 'Summit',
};

/** Seconds from 1904 to 2021-02-03T04:05:06Z. */
const CREATED = 2_082_844_800 + 1_612_325_106;
const TIMED = { takenAt: new Date('2021-02-03T04:05:06Z'), takenAtLocal: '2021-02-03T04:05:06' };

describe('video files', () => {
  it.each<[string, Buffer, Record<string, unknown>]>([
    [
      'duration and size',
      samples.mp4({ seconds: 61, size: [1920, 1080] }),
      { durationSeconds: 61, width: 1920, height: 1080 },
    ],
    [
      'the size as displayed',
      samples.mp4({ size: [1920, 1080], isTurned: true }),
      { width: 1080, height: 1920 },
    ],
    ['the creation time', samples.mp4({ created: CREATED }), TIMED],
    ['no creation time for the Unix epoch', samples.mp4({ created: 2_082_844_800 }), {}],
    [
      'the location',
      samples.mp4({ more: [samples.xyz('-33.8587+151.2113/')] }),
      { hasLocation: true, latitude: -33.8587, longitude: 151.2113 },
    ],
    ['the title', samples.mp4({ more: [samples.titled('Für Elise')] }), { title: 'Für Elise' }],
    ['no location if it cannot be parsed', samples.mp4({ more: [samples.xyz('somewhere')] }), {}],
    [
      'the location of a 3GPP file',
      samples.mp4({ more: [samples.loci(-20.25, 10.5)] }),
      { hasLocation: true, latitude: 10.5, longitude: -20.25 },
    ],
    [
      'the metadata of an iPhone',
      samples.mp4({ created: CREATED, more: [samples.named(APPLE)] }),
      APPLE_FOUND,
    ],
    [
      'the metadata of an iPhone in the user data box',
      samples.mp4({ more: [samples.box('udta', samples.named(APPLE))] }),
      APPLE_FOUND,
    ],
    [
      'Matroska',
      samples.matroska('matroska', 90, 640, 360, 'Film'),
      { durationSeconds: 90, width: 640, height: 360, title: 'Film' },
    ],
    [
      'WebM',
      samples.matroska('webm', 90, 640, 360, 'Film'),
      { durationSeconds: 90, width: 640, height: 360, title: 'Film' },
    ],
  ])('yield %s', async (_, bytes, properties) => {
    expect(await readBytes(bytes)).toEqual({ properties });
  });

  it.each<[string, Buffer]>([
    ['of size zero', samples.u32(0)],
    ['smaller than their headers', samples.u32(3)],
    ['of 2^64 - 1 bytes', Buffer.concat([samples.u32(1), Buffer.from('free'), Buffer.alloc(8, 255)])],
    [
      'nested in boxes',
      Array.from({ length: 5000 }).reduce<Buffer>((inner) => samples.box('udta', inner), Buffer.alloc(0)),
    ],
    ['in large numbers', samples.box('udta', ...Array.from({ length: 100_000 }, () => samples.box('free')))],
  ])('are read to the end with boxes %s', async (_, boxes) => {
    expect(await readBytes(samples.mp4({ seconds: 1, more: [boxes] }))).toEqual({
      properties: { durationSeconds: 1 },
    });
  });
});

/** Writes a script that replaces ffprobe. */
async function program(script: string): Promise<string> {
  const file = await fileOf(Buffer.from(`#!/bin/sh\n${script}\n`));
  await chmod(file, 0o700);
  return file;
}

it('gives up on a video that takes too long', async () => {
  const free = Buffer.concat(Array.from({ length: 300_000 }, () => samples.box('free')));
  const video = samples.mp4({ more: [samples.box('udta', free)] });
  const checks = await countCpuTimeChecks(() => readBytes(video, { detected: 'audio/mp4' }));
  expect([1, 2, 3, 4, 5, 6]).toContain(checks);
});

describe('ffprobe', () => {
  const video = samples.mp4({ seconds: 61, size: [1920, 1080] });
  const withoutFfprobe = { properties: { durationSeconds: 61, width: 1920, height: 1080 } };

  it.each([
    ['is missing', 'exit 0', true],
    ['fails', 'echo {}; exit 1', false],
    ['prints nonsense', 'echo nonsense', false],
    ['prints too much', 'exec /usr/bin/yes', false],
  ])('is not needed when it %s', async (_, script, isGone) => {
    const ffprobe = await program(script);
    expect(await readBytes(video, { limits: { ffprobe: isGone ? `${ffprobe}-gone` : ffprobe } })).toEqual(
      withoutFfprobe,
    );
  });

  it('receives only the file and supplies its properties', async () => {
    const report = {
      streams: [
        { codec_type: 'audio' },
        { codec_type: 'video', width: 9, height: 9, disposition: { attached_pic: 1 } },
        { codec_type: 'video', width: 1920, height: 1080, side_data_list: [{ rotation: -90 }] },
      ],
      format: {
        duration: '2.5',
        tags: { TITLE: 'Film\n', location: '+1.5-2.5/', creation_time: '2021-02-03T04:05:06.000000Z' },
      },
    };
    const reportFile = await fileOf(Buffer.from(JSON.stringify(report)));
    const ffprobe = await program(
      `/usr/bin/env > ${reportFile}-env; echo "$@" > ${reportFile}-arguments; /bin/cat ${reportFile}`,
    );
    expect(await readBytes(video, { limits: { ffprobe } })).toEqual({
      properties: {
        durationSeconds: 2.5,
        width: 1080,
        height: 1920,
        title: 'Film',
        hasLocation: true,
        latitude: 1.5,
        longitude: -2.5,
        ...TIMED,
      },
    });
    // The shell itself sets these variables.
    expect((await readFile(`${reportFile}-env`, 'utf8')).replaceAll(/^(PWD|OLDPWD|SHLVL|_)=.*\n/gm, '')).toBe(
      '',
    );
    expect(await readFile(`${reportFile}-arguments`, 'utf8')).toMatch(
      / -protocol_whitelist file .* -i file:\/[^ ]+\n$/,
    );
  });
});

const onPath = (name: string) => spawnSync('which', [name], { encoding: 'utf8' }).stdout.trim();
const [ffmpeg, ffprobe] = [onPath('ffmpeg'), onPath('ffprobe')];
const isInstalled = ffmpeg !== '' && ffprobe !== '';
if (!isInstalled) {
  if (process.env.CI === 'true') throw new Error('ffmpeg and ffprobe are missing (apt-get install ffmpeg)');
  process.stderr.write('skipped: videos made and read by ffmpeg (apt-get install ffmpeg)\n');
}

(isInstalled ? describe : describe.skip)('a video made by ffmpeg', () => {
  const SOURCE = ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc=duration=3:size=352x288:rate=10'];
  const METADATA = { title: 'Film', creation_time: '2021-02-03T04:05:06Z', location: '+48.8577+002.2950/' };
  const made = async (extension: string, ...options: string[]) => {
    const file = `${await fileOf(Buffer.alloc(0))}.${extension}`;
    const metadata = Object.entries(METADATA).flatMap(([name, value]) => ['-metadata', `${name}=${value}`]);
    execFileSync(ffmpeg, [...SOURCE, ...metadata, ...options, file]);
    return { file, bytes: await readFile(file) };
  };
  const SIZED = { durationSeconds: 3, width: 352, height: 288 };
  const LOCATED = {
    hasLocation: true,
    latitude: expect.closeTo(48.8577, 4),
    longitude: expect.closeTo(2.295, 4),
  };

  it.each([
    ['mp4', { ...SIZED, ...TIMED, ...LOCATED, title: 'Film' }, {}],
    ['mov', { ...SIZED, ...TIMED, ...LOCATED, title: 'Film' }, {}],
    ['mkv', { ...SIZED, title: 'Film' }, { ...TIMED, ...LOCATED }],
    ['webm', { ...SIZED, title: 'Film' }, { ...TIMED, ...LOCATED }],
    ['avi', {}, { ...SIZED, title: 'Film' }],
    ['ts', {}, SIZED],
  ])(
    'yields equal properties with and without ffprobe, except those that only ffprobe reads: %s',
    async (extension, both, more) => {
      const { file, bytes } = await made(extension);
      expect((await stat(file)).size).toBeGreaterThan(1000);
      expect((await readFileWith(file, bytes)).properties).toEqual(both);
      expect((await readFileWith(file, bytes, { limits: { ffprobe } })).properties).toEqual({
        ...both,
        ...more,
      });
    },
  );
});
