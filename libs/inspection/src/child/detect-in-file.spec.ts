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
