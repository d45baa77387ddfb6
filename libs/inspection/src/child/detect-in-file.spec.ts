import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { detectInFile, detectType } from './detect-type.js';

const folder = mkdtempSync(path.join(tmpdir(), 'detect-'));
afterAll(() => rmSync(folder, { recursive: true }));

const HEAD_BYTES = 65_536;
const file = path.join(folder, 'file');

/** As the head shows it, then as the whole file does. */
async function typesOf(bytes: Buffer): Promise<[head: string | null, file: string | null]> {
  writeFileSync(file, bytes);
  const head = await detectType(bytes.subarray(0, HEAD_BYTES));
  return [head, await detectInFile(file, bytes.length, head)];
}

type Entry = readonly [tag: number, type: number, count: number, value: number];

/** A TIFF, its directory behind so many bytes of pixels, the name of the maker behind that. */
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

const noise = (bytes: number) => Buffer.from(randomBytes(bytes).map((byte) => (byte === 0xff ? 0 : byte)));
const frame = () => Buffer.concat([Buffer.from([0xff, 0xfb, 0x90, 0]), noise(413)]);
const frames = Buffer.concat([frame(), frame(), frame()]);
const FLAC = Buffer.concat([Buffer.from('fLaC\0\0\0\x22', 'latin1'), noise(100)]);

describe('a type that lies behind the head', () => {
  it.each<[string, Buffer, string | null, string | null]>([
    ['a TIFF', tiff(100, PLAIN), 'image/tiff', 'image/tiff'],
    ['a TIFF whose directory is behind the head', tiff(70_000, PLAIN), 'image/tiff', 'image/tiff'],
    ['the same of the other order', tiff(70_000, PLAIN, { isBig: true }), 'image/tiff', 'image/tiff'],
    ['a DNG', tiff(100, DNG), 'image/x-adobe-dng', 'image/x-adobe-dng'],
    ['a DNG whose directory is behind the head', tiff(70_000, DNG), 'image/tiff', 'image/x-adobe-dng'],
    [
      'a photograph of Nikon',
      tiff(70_000, RAW, { make: 'NIKON CORP.', isBig: true }),
      'image/tiff',
      'image/x-nikon-nef',
    ],
    ['a photograph of Sony', tiff(9, RAW, { make: 'SONY' }), 'image/x-sony-arw', 'image/x-sony-arw'],
    ['a photograph of a maker without a type', tiff(9, RAW, { make: 'Maker' }), 'image/tiff', 'image/tiff'],
    ['a scan by Nikon', tiff(9, [...PLAIN, [271, 2, 16, 0]], { make: 'NIKON' }), 'image/tiff', 'image/tiff'],
    ['a TIFF without its directory', tiff(70_000, PLAIN).subarray(0, 69_000), 'image/tiff', null],
    ['a short TIFF without its directory', tiff(900, PLAIN).subarray(0, 800), null, null],
    ['a TIFF with an empty directory', tiff(9, []), null, null],
    ['FLAC behind tags', Buffer.concat([id3(100), FLAC]), 'audio/flac', 'audio/flac'],
    ['FLAC behind large tags', Buffer.concat([id3(100_000), FLAC]), 'audio/mpeg', 'audio/flac'],
    ['FLAC behind two tags', Buffer.concat([id3(50_000), id3(50_000), FLAC]), 'audio/mpeg', 'audio/flac'],
    ['MP3 behind large tags', Buffer.concat([id3(100_000), frames]), 'audio/mpeg', 'audio/mpeg'],
    ['MP3 behind tags and a gap', Buffer.concat([id3(9), noise(2000), frames]), 'audio/mpeg', 'audio/mpeg'],
    ['noise behind large tags', Buffer.concat([id3(100_000), noise(70_000)]), 'audio/mpeg', null],
    ['noise behind tags', Buffer.concat([id3(9), noise(200_000)]), 'audio/mpeg', null],
    ['a little noise behind tags', Buffer.concat([id3(9), noise(2000)]), null, null],
    ['tags that are cut off', id3(500).subarray(0, 100), 'audio/mpeg', 'audio/mpeg'],
  ])('%s', async (_, bytes, head, whole) => {
    expect(await typesOf(bytes)).toEqual([head, whole]);
  });

  it('is not looked for where the head shows another', async () => {
    const bytes = tiff(100, PLAIN);
    writeFileSync(file, bytes);
    expect(await detectInFile(file, bytes.length, 'image/png')).toBe('image/png');
  });
});

describe('a film without pictures', () => {
  const u32 = (value: number) => Buffer.from([value >>> 24, value >>> 16, value >>> 8, value]);
  const box = (type: string, ...content: readonly Buffer[]) =>
    Buffer.concat([u32(8 + Buffer.concat(content).length), Buffer.from(type), ...content]);
  const track = (handler: string) =>
    box('trak', box('mdia', box('hdlr', Buffer.alloc(8), Buffer.from(handler), Buffer.alloc(13))));
  /** The tracks behind the data, as telephones write them. */
  const iso = (brand: string, ...handlers: readonly string[]) =>
    Buffer.concat([
      box('ftyp', Buffer.from(brand), u32(0)),
      box('mdat', Buffer.alloc(100_000)),
      box('moov', box('mvhd', Buffer.alloc(100)), ...handlers.map(track)),
    ]);
  const element = (id: string, ...content: readonly Buffer[]) => {
    const size = u32(0x1000_0000 | Buffer.concat(content).length);
    return Buffer.concat([Buffer.from(id, 'hex'), size, ...content]);
  };
  const matroska = (name: string, types: readonly number[], isEndless = false) => {
    const tracks = types.map((type) => element('ae', element('83', Buffer.from([type]))));
    const inside = [element('ec', Buffer.alloc(9)), element('1654ae6b', ...tracks), element('1f43b675')];
    const segment = isEndless
      ? Buffer.concat([Buffer.from('1853806701ffffffffffffff', 'hex'), ...inside])
      : element('18538067', ...inside);
    return Buffer.concat([element('1a45dfa3', element('4282', Buffer.from(name))), segment]);
  };
  /** Two tables, each in a packet of its own, then packets of sound. */
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
    ['MP4 of another brand', iso('mp42', 'text', 'soun'), 'video/mp4', 'audio/mp4'],
    ['3GPP', iso('3gp4', 'soun'), 'video/3gpp', 'audio/3gpp'],
    ['Matroska', matroska('matroska', [2, 17]), 'video/matroska', 'audio/matroska'],
    ['WebM', matroska('webm', [2]), 'video/webm', 'audio/webm'],
    ['WebM as browsers record it', matroska('webm', [2], true), 'video/webm', 'audio/webm'],
    ['transport stream', transport(0x0f, 0x15), 'video/mp2t', 'audio/mp2t'],
  ])('is sound: %s', async (_, bytes, head, whole) => {
    expect(await typesOf(bytes)).toEqual([head, whole]);
  });

  it.each<[string, Buffer, string]>([
    ['MP4 with pictures', iso('isom', 'soun', 'vide'), 'video/mp4'],
    ['MP4 with neither', iso('isom', 'text'), 'video/mp4'],
    ['MP4 in pieces', Buffer.concat([box('ftyp', Buffer.from('isom'), u32(0)), box('moof')]), 'video/mp4'],
    ['WebM with pictures', matroska('webm', [2, 1]), 'video/webm'],
    ['WebM with subtitles alone', matroska('webm', [17]), 'video/webm'],
    ['WebM without tracks', matroska('webm', []), 'video/webm'],
    ['transport stream with pictures', transport(0x0f, 0x1b), 'video/mp2t'],
    ['transport stream with something else', transport(0x0f, 0x06), 'video/mp2t'],
    ['transport stream without streams', transport(), 'video/mp2t'],
  ])('is told from others: %s', async (_, bytes, type) => {
    expect(await typesOf(bytes)).toEqual([type, type]);
  });
});
