/** Real: the libraries. A reader returns an answer for any file content. */
import { chmod } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import fc from 'fast-check';
import sharp from 'sharp';
import { NO_PROPERTIES, sanitizeProperties } from '#libs/domain';
import { type Inspection, Inspector } from '#libs/inspection';
import { startInspection } from './inspection.js';
import { fileOf, folderOf, readBytes, useFolder } from './readers.harness.js';
import * as samples from './samples.js';

useFolder();

const TAGS: samples.Tags = { title: 'Title', artist: 'Artist', album: 'Album' };
const LOCATION: samples.Exif = {
  gps: [
    [1, 'N'],
    [2, [1, 1, 2, 1, 3, 1]],
    [3, 'E'],
    [4, [1, 1, 2, 1, 3, 1]],
  ],
};

const picture = () => sharp({ create: { width: 48, height: 32, channels: 3, background: '#369' } });

const SAMPLES: Readonly<Record<string, () => Buffer | Promise<Buffer>>> = {
  'image/jpeg': async () => samples.withExif(await picture().jpeg().toBuffer(), LOCATION),
  'image/png': () => picture().png().toBuffer(),
  'image/gif': () => picture().gif().toBuffer(),
  'image/webp': () =>
    picture()
      .withExif({ IFD0: { Make: 'Maker' } })
      .webp()
      .toBuffer(),
  'image/avif': () => picture().avif().toBuffer(),
  'image/tiff': () => picture().tiff({ compression: 'lzw' }).toBuffer(),
  'image/heic': () => samples.heifWithExif('heic', samples.exifBlock(LOCATION), true),
  'image/jxl': () => samples.jxlWith(samples.box('Exif', samples.u32(0), samples.exifBlock(LOCATION))),
  'image/jp2': () =>
    samples.jp2With(samples.box('uuid', Buffer.from('JpgTiffExif->JP2'), samples.exifBlock(LOCATION))),
  'image/vnd.adobe.photoshop': () => samples.psd(9, 9, [0x0422, samples.exifBlock(LOCATION)]),
  'image/x-canon-cr3': () => samples.cr3({ CMT1: LOCATION, CMT4: { main: LOCATION.gps! } }),
  'image/x-nikon-nef': () =>
    samples.rawHead(
      [[254, 1]],
      [
        [256, 9],
        [257, 9],
      ],
    ),
  'image/svg+xml': () => Buffer.from('<svg width="9mm" viewBox="0 0 9 9"><rect width="9"/></svg>'),
  'audio/amr': () => samples.amr(50),
  'audio/mp4': () => samples.mp4({ seconds: 1, handler: 'soun', more: [samples.songTags(TAGS)] }),
  'audio/wav': () => samples.wav(1),
  'audio/flac': () => samples.flac(9, TAGS),
  'audio/ogg': () => samples.ogg(9, TAGS),
  'audio/mpeg': () => samples.mp3(20, TAGS),
  'video/mp4': () => samples.mp4({ seconds: 1, size: [9, 9], more: [samples.xyz('+1.5+2.5/')] }),
  'video/quicktime': () =>
    samples.mp4({ more: [samples.named({ make: 'Maker', 'location.ISO6709': '+1+2/' })] }),
  'video/matroska': () => samples.matroska('matroska', 9, 9, 9, 'Title'),
  'application/pdf': () => samples.pdf(3, 'Title'),
};
const TYPES = Object.keys(SAMPLES);
const REFUSALS = ['UNREADABLE', 'TOO_MANY_PIXELS'];

const made = new Map<string, Buffer>();
beforeAll(async () => {
  for (const type of TYPES) made.set(type, await SAMPLES[type]!());
});

let inspection: TestingModule;
beforeAll(async () => {
  await chmod(folderOf(), 0o711);
  inspection = await startInspection(folderOf());
});
afterAll(() => inspection.close());

/** Reads in a child process: Jest would report the unhandled rejections of pdf.js as test failures. */
async function inspectPdf(bytes: Buffer): Promise<Partial<Inspection>> {
  const path = await fileOf(bytes);
  const request = { path, sizeBytes: bytes.length, detected: 'application/pdf', profiles: [] };
  return inspection.get(Inspector).inspect(request);
}

/** Expects an answer in which every property can be stored. */
async function expectAnswer(bytes: Buffer, type: string): Promise<void> {
  const {
    properties = {},
    renditions = [],
    variantsReason,
    refusal,
  } = type === 'application/pdf' ? await inspectPdf(bytes) : await readBytes(bytes, { detected: type });
  expect(sanitizeProperties(properties)).toEqual({ ...NO_PROPERTIES, ...properties });
  if (refusal) expect(REFUSALS).toContain(refusal.code);
  else if (type.startsWith('image/')) expect(renditions).toHaveLength(variantsReason ? 0 : 2);
}

describe.each(TYPES)('a damaged %s', (type) => {
  it.each<[string, (bytes: Buffer) => Buffer]>([
    ['half of the file', (bytes) => bytes.subarray(0, bytes.length / 2)],
    ['the first 300 bytes', (bytes) => bytes.subarray(0, 300)],
    [
      'flipped bits',
      (bytes) => {
        for (let bit = 0; bit < 200; bit++) bytes[(bit * 7919 + 13) % bytes.length]! ^= 1 << (bit % 8);
        return bytes;
      },
    ],
    ['an overwritten header', (bytes) => bytes.fill('%$#!', 4, 44)],
    ['zeros after the first 12 bytes', (bytes) => bytes.fill(0, 12)],
  ])('returns a storable answer for %s', (_, damage) =>
    expectAnswer(damage(Buffer.from(made.get(type)!)), type),
  );

  it('returns a storable answer for random changes', async () => {
    const change = fc.oneof(
      fc.record({ at: fc.nat(), put: fc.uint8Array({ minLength: 1, maxLength: 8 }), drop: fc.nat(8) }),
      fc.record({
        at: fc.nat(400),
        put: fc.constantFrom(Uint8Array.of(255, 255, 255, 255), Uint8Array.of(0, 0, 0, 0)),
        drop: fc.constant(4),
      }),
      fc.record({ at: fc.nat(), put: fc.constant(Uint8Array.of()), drop: fc.nat(200) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        let bytes = made.get(type)!;
        for (const { at, put, drop } of changes) {
          const offset = at % bytes.length;
          bytes = Buffer.concat([bytes.subarray(0, offset), put, bytes.subarray(offset + drop)]);
          if (bytes.length === 0) break;
        }
        await expectAnswer(bytes, type);
      }),
      { numRuns: 40, ...(process.env.CI === 'true' && { seed: 1 }) },
    );
  });
});
