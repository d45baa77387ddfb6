import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { detectInFile, detectType, HEAD_BYTES } from './detect-type.js';

const folder = mkdtempSync(path.join(tmpdir(), 'detect-'));
afterAll(() => rmSync(folder, { recursive: true }));

const file = path.join(folder, 'file');

/** The type that the head alone shows, and the type that the whole file shows. */
async function typesOf(bytes: Buffer): Promise<[head: string | null, file: string | null]> {
  writeFileSync(file, bytes);
  const head = await detectType(bytes.subarray(0, HEAD_BYTES), bytes.length);
  return [head, await detectInFile(file, bytes.length, head)];
}

type Entry = readonly [tag: number, type: number, count: number, value: number];

/** A TIFF with `pixelBytes` of pixels, then its directory, then the camera make. */
function tiff(pixelBytes: number, entries: readonly Entry[], { isBig = false, make = '' } = {}): Buffer {
  const bytes = Buffer.concat([
    Buffer.alloc(8 + pixelBytes, 0x80),
    Buffer.alloc(6 + 12 * entries.length),
    Buffer.from(`${make}\0`.padEnd(16, '\0')),
  ]);
  const short = (value: number, at: number) =>
    isBig ? bytes.writeUInt16BE(value, at) : bytes.writeUInt16LE(value, at);
  const long = (value: number, at: number) =>
    isBig ? bytes.writeUInt32BE(value, at) : bytes.writeUInt32LE(value, at);
  bytes.write(isBig ? 'MM' : 'II');
  short(42, 2);
  long(8 + pixelBytes, 4);
  short(entries.length, 8 + pixelBytes);
  entries.forEach(([tag, type, count, value], index) => {
    const at = 10 + pixelBytes + 12 * index;
    short(tag, at);
    short(type, at + 2);
    long(count, at + 4);
    long(tag === 271 ? bytes.length - 16 : value, at + 8);
  });
  return bytes;
}

const PLAIN: readonly Entry[] = [
  [256, 4, 1, 9],
  [257, 4, 1, 9],
];
const RAW: readonly Entry[] = [[254, 4, 1, 1], ...PLAIN, [271, 2, 16, 0], [330, 4, 1, 8]];
const DNG: readonly Entry[] = [...PLAIN, [50_706, 1, 4, 0x0401]];

function id3(contentBytes: number): Buffer {
  const header = Buffer.from('ID3\x03\0\0\0\0\0\0', 'latin1');
  [21, 14, 7, 0].forEach((shift, index) => (header[6 + index] = (contentBytes >> shift) & 0x7f));
  return Buffer.concat([header, Buffer.alloc(contentBytes)]);
}

/** An icon whose only image is at `offset`. */
function icon(offset: number): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from('\x89PNG', 'latin1')]);
  bytes.writeUInt16LE(1, 2);
  bytes.writeUInt16LE(1, 4);
  bytes.writeUInt32LE(4, 14);
  bytes.writeUInt32LE(offset, 18);
  return bytes;
}

const noise = (bytes: number) => Buffer.from(randomBytes(bytes).map((byte) => (byte === 0xff ? 0 : byte)));
const frame = () => Buffer.concat([Buffer.from([0xff, 0xfb, 0x90, 0]), noise(413)]);
const frames = Buffer.concat([frame(), frame(), frame()]);
const FLAC = Buffer.concat([Buffer.from('fLaC\0\0\0\x22', 'latin1'), noise(100)]);

describe('detectInFile', () => {
  it.each<[string, Buffer, string | null, string | null]>([
    ['a TIFF', tiff(100, PLAIN), 'image/tiff', 'image/tiff'],
    ['a TIFF with its directory beyond the head', tiff(70_000, PLAIN), 'image/tiff', 'image/tiff'],
    [
      'a big-endian TIFF with its directory beyond the head',
      tiff(70_000, PLAIN, { isBig: true }),
      'image/tiff',
      'image/tiff',
    ],
    ['a DNG', tiff(100, DNG), 'image/x-adobe-dng', 'image/x-adobe-dng'],
    ['a DNG with its directory beyond the head', tiff(70_000, DNG), 'image/tiff', 'image/x-adobe-dng'],
    [
      'a Nikon raw image',
      tiff(70_000, RAW, { make: 'NIKON CORP.', isBig: true }),
      'image/tiff',
      'image/x-nikon-nef',
    ],
    ['a Sony raw image', tiff(9, RAW, { make: 'SONY' }), 'image/x-sony-arw', 'image/x-sony-arw'],
    ['a raw image of an unknown make', tiff(9, RAW, { make: 'Maker' }), 'image/tiff', 'image/tiff'],
    [
      'a Nikon scan that is not raw',
      tiff(9, [...PLAIN, [271, 2, 16, 0]], { make: 'NIKON' }),
      'image/tiff',
      'image/tiff',
    ],
    ['a TIFF cut before its directory', tiff(70_000, PLAIN).subarray(0, 69_000), 'image/tiff', null],
    ['a short TIFF cut before its directory', tiff(900, PLAIN).subarray(0, 800), null, null],
    [
      'a TIFF cut before its directory to a whole head',
      tiff(70_000, PLAIN).subarray(0, HEAD_BYTES),
      null,
      null,
    ],
    ['an icon cut before its image to a whole head', icon(70_000).subarray(0, HEAD_BYTES), null, null],
    ['an icon with its image beyond the head', icon(70_000), 'image/x-icon', 'image/x-icon'],
    [
      'noise of the length of a head after a tag',
      Buffer.concat([id3(9), noise(HEAD_BYTES)]).subarray(0, HEAD_BYTES),
      null,
      null,
    ],
    ['a TIFF with an empty directory', tiff(9, []), null, null],
    ['FLAC after a tag', Buffer.concat([id3(100), FLAC]), 'audio/flac', 'audio/flac'],
    ['FLAC after a large tag', Buffer.concat([id3(100_000), FLAC]), 'audio/mpeg', 'audio/flac'],
    ['FLAC after two tags', Buffer.concat([id3(50_000), id3(50_000), FLAC]), 'audio/mpeg', 'audio/flac'],
    ['MP3 after a large tag', Buffer.concat([id3(100_000), frames]), 'audio/mpeg', 'audio/mpeg'],
    ['MP3 after a tag and a gap', Buffer.concat([id3(9), noise(2000), frames]), 'audio/mpeg', 'audio/mpeg'],
    ['noise after a large tag', Buffer.concat([id3(100_000), noise(70_000)]), 'audio/mpeg', null],
    ['noise after a tag', Buffer.concat([id3(9), noise(200_000)]), 'audio/mpeg', null],
    ['a short file of noise after a tag', Buffer.concat([id3(9), noise(2000)]), null, null],
    ['a tag that is cut off', id3(500).subarray(0, 100), 'audio/mpeg', 'audio/mpeg'],
  ])('detects the type of %s', async (_, bytes, head, whole) => {
    expect(await typesOf(bytes)).toEqual([head, whole]);
  });

  it('keeps a conclusive type of the head', async () => {
    const bytes = tiff(100, PLAIN);
    writeFileSync(file, bytes);
    expect(await detectInFile(file, bytes.length, 'image/png')).toBe('image/png');
  });
});

describe('audio in video containers', () => {
  const u32 = (value: number) => Buffer.from([value >>> 24, value >>> 16, value >>> 8, value]);
  const box = (type: string, ...content: readonly Buffer[]) =>
    Buffer.concat([u32(8 + Buffer.concat(content).length), Buffer.from(type), ...content]);
  const track = (handler: string) =>
    box('trak', box('mdia', box('hdlr', Buffer.alloc(8), Buffer.from(handler), Buffer.alloc(13))));
  /** An MP4 with its `moov` box after the data, as phones write it. */
  const iso = (brand: string, ...handlers: readonly string[]) => movie(brand, handlers.map(track));
  const movie = (brand: string, tracks: readonly Buffer[]) =>
    Buffer.concat([
      box('ftyp', Buffer.from(brand), u32(0)),
      box('mdat', Buffer.alloc(100_000)),
      box('moov', box('mvhd', Buffer.alloc(100)), ...tracks),
    ]);
  const element = (id: string, ...content: readonly Buffer[]) => {
    const size = u32(0x1000_0000 | Buffer.concat(content).length);
    return Buffer.concat([Buffer.from(id, 'hex'), size, ...content]);
  };
  const matroska = (
    name: string,
    types: readonly number[],
    hasUnknownSize = false,
    between: Buffer[] = [],
  ) => {
    const tracks = types.flatMap((type) => [element('ae', element('83', Buffer.from([type]))), ...between]);
    const inside = [element('ec', Buffer.alloc(9)), element('1654ae6b', ...tracks), element('1f43b675')];
    const segment = hasUnknownSize
      ? Buffer.concat([Buffer.from('1853806701ffffffffffffff', 'hex'), ...inside])
      : element('18538067', ...inside);
    return Buffer.concat([element('1a45dfa3', element('4282', Buffer.from(name))), segment]);
  };
  const withByte = (bytes: Buffer, at: number, value: number) => {
    const damaged = Buffer.from(bytes);
    damaged[at] = value;
    return damaged;
  };
  const many = (part: Buffer) => Array.from({ length: 1024 }, () => part);
  /** A transport stream: the PAT and the PMT in one packet each, then audio packets. */
  const transport = (...streams: readonly number[]) => {
    const packet = (id: number, table: readonly number[]) => {
      const bytes = Buffer.alloc(188, 0xff);
      bytes.set([0x47, 0x40 | (id >> 8), id & 255, 0x10, 0, ...table]);
      return bytes;
    };
    const entries = streams.flatMap((type, index) => [type, 0xe1, index, 0xf0, 0]);
    const crc = [0, 0, 0, 0];
    return Buffer.concat([
      packet(0, [0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0, ...crc]),
      packet(0x1000, [2, 0xb0, 13 + entries.length, 0, 1, 0xc1, 0, 0, 0xe1, 0, 0xf0, 0, ...entries, ...crc]),
      ...Array.from({ length: 8 }, () => packet(0x100, [])),
    ]);
  };

  it.each<[string, Buffer, head: string, file: string]>([
    ['MP4', iso('isom', 'soun'), 'video/mp4', 'audio/mp4'],
    ['MP4 of brand mp42 with a text track', iso('mp42', 'text', 'soun'), 'video/mp4', 'audio/mp4'],
    ['3GPP', iso('3gp4', 'soun'), 'video/3gpp', 'audio/3gpp'],
    ['Matroska', matroska('matroska', [2, 17]), 'video/matroska', 'audio/matroska'],
    ['WebM', matroska('webm', [2]), 'video/webm', 'audio/webm'],
    ['WebM of unknown size, as browsers record it', matroska('webm', [2], true), 'video/webm', 'audio/webm'],
    ['a transport stream', transport(0x0f, 0x15), 'video/mp2t', 'audio/mp2t'],
  ])('gives an audio type to %s', async (_, bytes, head, whole) => {
    expect(await typesOf(bytes)).toEqual([head, whole]);
  });

  it.each<[string, Buffer, string]>([
    ['MP4 with a video track', iso('isom', 'soun', 'vide'), 'video/mp4'],
    [
      'MP4 with a video track behind too many boxes',
      movie('isom', [track('soun'), ...many(box('free')), track('vide')]),
      'video/mp4',
    ],
    [
      'WebM with a video track behind too many elements',
      matroska('webm', [2, 1], false, many(element('ec'))),
      'video/webm',
    ],
    ['MP4 with a text track only', iso('isom', 'text'), 'video/mp4'],
    ['a fragmented MP4', Buffer.concat([box('ftyp', Buffer.from('isom'), u32(0)), box('moof')]), 'video/mp4'],
    ['WebM with a video track', matroska('webm', [2, 1]), 'video/webm'],
    ['WebM with subtitles only', matroska('webm', [17]), 'video/webm'],
    ['WebM without tracks', matroska('webm', []), 'video/webm'],
    ['a transport stream with video', transport(0x0f, 0x1b), 'video/mp2t'],
    ['a transport stream with private data', transport(0x0f, 0x06), 'video/mp2t'],
    ['a transport stream with an empty program', transport(), 'video/mp2t'],
    ['a transport stream with too short a map', withByte(transport(0x0f), 188 + 7, 9), 'video/mp2t'],
  ])('keeps the video type of %s', async (_, bytes, type) => {
    expect(await typesOf(bytes)).toEqual([type, type]);
  });

  it.each<[string, Buffer, types: string[]]>([
    ['MP4', iso('isom', 'soun'), ['video/mp4', 'audio/mp4']],
    ['WebM', matroska('webm', [2]), ['video/webm', 'audio/webm']],
    ['a transport stream', transport(0x0f, 0x15), ['video/mp2t', 'audio/mp2t']],
  ])(
    'gives a type to %s whichever byte is damaged, and wherever the file is cut',
    async (_, whole, types) => {
      const [video = ''] = types;
      // The first and last bytes hold all structure of these files.
      const places = [...Array(450).keys()].map((at) =>
        at < 200 ? at : Math.max(0, whole.length - 450 + at),
      );
      const damaged = places.flatMap((at) => [
        withByte(whole, at, 0),
        withByte(whole, at, 1),
        withByte(whole, at, 0xff),
        whole.subarray(0, at),
      ]);
      for (const bytes of damaged) {
        writeFileSync(file, bytes);
        expect(types).toContain(await detectInFile(file, bytes.length, video));
      }
    },
  );
});
