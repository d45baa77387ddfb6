/** Real: the decoders and the files. The readers run in this process; the service runs them in child processes. */
import { brotliCompressSync, deflateSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import ExifReader from 'exifreader';
import sharp, { type Sharp } from 'sharp';
import { parseProfiles } from '#libs/domain';
import { readExif } from '../../../libs/inspection/src/child/readers/image/exif.js';
import { bytesAt } from '../../../libs/inspection/src/child/readers/read-at.js';
import { chunk } from '../../e2e/samples.js';
import { fileOf, readBytes, readFileWith, PROFILES, useFolder } from './readers.harness.js';
import * as samples from './samples.js';

useFolder();

const FORMATS = ['jpeg', 'png', 'gif', 'webp', 'avif', 'tiff'] as const;
type Format = (typeof FORMATS)[number];

const [COLUMNS, ROWS] = [60, 40];

/** A gradient: red increases to the right, green downwards. */
function gradient(width: number, height: number): Sharp {
  const pixels = Buffer.alloc(COLUMNS * ROWS * 3, 128);
  for (let pixel = 0; pixel < COLUMNS * ROWS; pixel++) {
    pixels[3 * pixel] = (255 * (pixel % COLUMNS)) / COLUMNS;
    pixels[3 * pixel + 1] = (255 * Math.floor(pixel / COLUMNS)) / ROWS;
  }
  const small = sharp(pixels, { raw: { width: COLUMNS, height: ROWS, channels: 3 } });
  return small.resize(width, height, { fit: 'fill' });
}

const make = (format: Format, width = 600, height = 400) =>
  gradient(width, height).toFormat(format).toBuffer();

const CAMERA: samples.Exif = {
  main: [
    [0x10f, 'Canon\0'],
    [0x110, '  EOS\nR5 '],
    [0x112, [0x00060000, 0]],
  ],
  exif: [
    [0x9003, '2024:05:06 07:08:09'],
    [0x9011, '+05:30'],
    [0x9291, '25'],
  ],
  gps: [
    [1, 'S'],
    [2, [33, 1, 51, 1, 3132, 100]],
    [3, 'E'],
    [4, [151, 1, 12, 1, 4068, 100]],
  ],
};

const CAMERA_FOUND = {
  cameraMake: 'Canon',
  cameraModel: 'EOS R5',
  takenAt: new Date('2024-05-06T01:38:09.250Z'),
  takenAtLocal: '2024-05-06T07:08:09.250',
  hasLocation: true,
  latitude: expect.closeTo(-33.8587, 6),
  longitude: expect.closeTo(151.2113, 6),
};

describe('image files', () => {
  it.each(FORMATS)('yield a size, a thumbhash and two renditions: %s', async (format) => {
    const { properties, renditions = [], refusal } = await readBytes(await make(format, 1600, 800));
    expect(refusal).toBeUndefined();
    expect(properties).toEqual({
      width: 1600,
      height: 800,
      thumbhash: expect.stringMatching(/^[\w+/]{20,}=*$/),
      ...(format === 'tiff' && { pageCount: 1 }),
    });
    expect(renditions.map(({ profile, width, height }) => [profile.name, width, height])).toEqual([
      ['small', 320, 160],
      ['large', 1280, 640],
    ]);
    for (const { bytes, width, height } of renditions) {
      expect(await sharp(bytes).metadata()).toMatchObject({ format: 'webp', width, height });
    }
  });

  it('yield a rendition in every requested format, none larger than the original', async () => {
    const profiles = parseProfiles(['a=jpeg:100:80', 'b=avif:100:50', 'c=webp:4000:80']);
    const { renditions = [] } = await readBytes(await make('png', 300, 200), { profiles });
    const made = await Promise.all(renditions.map(({ bytes }) => sharp(bytes).metadata()));
    expect(made.map(({ format, width, height }) => [format, width, height])).toEqual([
      ['jpeg', 100, 67],
      ['heif', 100, 67],
      ['webp', 300, 200],
    ]);
  });

  it.each([
    ['a single pixel', 1, 1, [1, 1], [1, 1]],
    ['a line', 20_000, 1, [320, 1], [1280, 1]],
    ['a column', 1, 20_000, [1, 320], [1, 1280]],
  ])('yield renditions of at least one pixel: %s', async (_, width, height, small, large) => {
    const { properties, renditions = [] } = await readBytes(await make('png', width, height));
    expect(properties).toMatchObject({ width, height, thumbhash: expect.any(String) });
    expect(renditions.map((made) => [made.width, made.height])).toEqual([small, large]);
  });

  it('keep transparency, or get a white background in a format without it', async () => {
    const clear = { r: 255, g: 0, b: 0, alpha: 0 };
    const square = sharp({ create: { width: 64, height: 64, channels: 4, background: clear } });
    for (const bytes of [await square.png({ palette: true }).toBuffer(), await square.webp().toBuffer()]) {
      const profiles = parseProfiles(['a=webp:32:80', 'b=jpeg:32:90', 'c=avif:32:80']);
      const { renditions = [] } = await readBytes(bytes, { profiles });
      const pixels = await Promise.all(renditions.map((made) => sharp(made.bytes).raw().toBuffer()));
      expect(pixels[0]![3]).toBe(0);
      expect([...pixels[1]!.subarray(0, 3)]).toEqual([255, 255, 255]);
      expect(pixels[2]![3]).toBe(0);
    }
  });

  it('are converted to sRGB', async () => {
    const red = () => sharp({ create: { width: 40, height: 40, channels: 3, background: '#f00' } });
    const colour = async (bytes: Buffer) => {
      const { renditions = [] } = await readBytes(bytes, { profiles: parseProfiles(['a=jpeg:40:100']) });
      const { channels, space, icc } = await sharp(renditions[0]!.bytes).metadata();
      expect({ channels, space, icc }).toEqual({ channels: 3, space: 'srgb', icc: undefined });
      return [...(await sharp(renditions[0]!.bytes).raw().toBuffer()).subarray(0, 3)];
    };
    // The red of sRGB is (234, 51, 35) in Display P3.
    const wide = await red().withIccProfile('p3').png().toBuffer();
    expect([...(await sharp(wide, { ignoreIcc: true }).raw().toBuffer()).subarray(0, 3)]).not.toEqual([
      255, 0, 0,
    ]);
    expect(await colour(wide)).toEqual([
      expect.closeTo(254, -0.7),
      expect.closeTo(0, -0.7),
      expect.closeTo(0, -0.7),
    ]);
    const [cyan] = await colour(await red().toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer());
    expect(cyan).toBeGreaterThan(200);
    expect(await colour(await red().toColourspace('rgb16').png().toBuffer())).toEqual([254, 0, 0]);
    expect(await colour(await red().greyscale().png().toBuffer())).toEqual([127, 127, 127]);
  });

  it('are rendered from the first frame of an animation', async () => {
    const frames = Buffer.concat([Buffer.alloc(40 * 40 * 3, 250), Buffer.alloc(40 * 40 * 3, 5)]);
    const moving = () => sharp(frames, { raw: { width: 40, height: 80, channels: 3, pageHeight: 40 } });
    for (const bytes of [await moving().gif().toBuffer(), await moving().webp().toBuffer()]) {
      expect((await sharp(bytes, { animated: true }).metadata()).pages).toBe(2);
      const { properties, renditions = [] } = await readBytes(bytes);
      expect(properties).toMatchObject({ width: 40, height: 40 });
      expect((await sharp(renditions[0]!.bytes).raw().toBuffer())[0]).toBeGreaterThan(240);
    }
  });

  it('have their pages counted in a TIFF', async () => {
    const pages = sharp(Buffer.alloc(40 * 90 * 3), {
      raw: { width: 40, height: 90, channels: 3, pageHeight: 30 },
    });
    const { properties } = await readBytes(await pages.tiff({ compression: 'none' }).toBuffer());
    expect(properties).toMatchObject({ width: 40, height: 30, pageCount: 3 });
  });
});

describe('camera metadata', () => {
  it('is read from a JPEG, whose size is reported as displayed', async () => {
    const { properties, renditions = [] } = await readBytes(samples.withExif(await make('jpeg'), CAMERA));
    // The orientation 6 in CAMERA has a wrong field type and is ignored.
    expect(properties).toMatchObject({ width: 600, height: 400, ...CAMERA_FOUND });
    expect(renditions[0]).toMatchObject({ width: 320, height: 213 });
    const turned = await gradient(600, 400).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    const found = await readBytes(turned);
    expect(found.properties).toMatchObject({ width: 400, height: 600 });
    expect(found.renditions?.[0]).toMatchObject({ width: 213, height: 320 });
    // The left edge of the source is the top edge of the rendition.
    const { data, info } = await sharp(found.renditions![0]!.bytes)
      .raw()
      .toBuffer({ resolveWithObject: true });
    expect(data[0]).toBeLessThan(40);
    expect(data.at(-info.channels)).toBeGreaterThan(215);
  });

  it.each(['jpeg', 'png', 'webp', 'avif'] as const)('is read from a %s', async (format) => {
    const written = gradient(60, 40).withExif({
      IFD0: { Make: 'Maker', Model: 'Model' },
      IFD2: { DateTimeOriginal: '1999:12:31 23:59:59' },
      IFD3: {
        GPSLatitudeRef: 'N',
        GPSLatitude: '48/1 51/1 30/1',
        GPSLongitudeRef: 'W',
        GPSLongitude: '2/1 0/1 0/1',
      },
    });
    expect((await readBytes(await written.toFormat(format).toBuffer())).properties).toMatchObject({
      cameraMake: 'Maker',
      cameraModel: 'Model',
      takenAtLocal: '1999-12-31T23:59:59',
      hasLocation: true,
      latitude: expect.closeTo(48.858333, 6),
      longitude: -2,
    });
  });

  it('is read from a TIFF and from a raw photograph, at any position', async () => {
    const block = samples.exifBlock(CAMERA);
    expect((await readBytes(block, { detected: 'image/x-adobe-dng' })).properties).toEqual(CAMERA_FOUND);
    const tiff = await gradient(60, 40)
      .withExif({ IFD0: { Make: 'Maker' } })
      .tiff({ compression: 'none' })
      .toBuffer();
    expect((await readBytes(tiff)).properties).toMatchObject({ width: 60, height: 40, pageCount: 1 });
  });

  it.each<[string, samples.Exif, Record<string, unknown>]>([
    ['no time zone', { exif: [[0x9003, '2024:05:06 07:08:09']] }, { takenAtLocal: '2024-05-06T07:08:09' }],
    [
      'only the time of digitising',
      { exif: [[0x9004, '2024:05:06 07:08:09']] },
      { takenAtLocal: '2024-05-06T07:08:09' },
    ],
    ['a blank time', { exif: [[0x9003, '    :  :     :  :  ']] }, {}],
    ['a time of zeros', { exif: [[0x9003, '0000:00:00 00:00:00']] }, {}],
    ['the 30th of February', { exif: [[0x9003, '2023:02:30 00:00:00']] }, {}],
    [
      'a 12-hour time',
      { exif: [[0x9003, '2024:05:06 01:08:09 PM']] },
      { takenAtLocal: '2024-05-06T13:08:09' },
    ],
    [
      'midnight as a 12-hour time',
      { exif: [[0x9003, '2024:05:06 12:08 AM']] },
      { takenAtLocal: '2024-05-06T00:08:00' },
    ],
    ['text after its time', { exif: [[0x9003, '2024:05:06 07:08:09 about']] }, {}],
    [
      'an offset out of range',
      {
        exif: [
          [0x9003, '2024:05:06 07:08:09'],
          [0x9011, '+15:00'],
        ],
      },
      { takenAtLocal: '2024-05-06T07:08:09' },
    ],
    [
      'an offset of 75 minutes past the hour',
      {
        exif: [
          [0x9003, '2024:05:06 07:08:09'],
          [0x9011, '+01:75'],
        ],
      },
      { takenAtLocal: '2024-05-06T07:08:09' },
    ],
    ['a year in the future', { exif: [[0x9003, '2999:01:01 00:00:00']] }, {}],
    [
      'coordinates without a direction',
      {
        gps: [
          [2, [1, 1, 2, 1, 3, 1]],
          [4, [1, 1, 2, 1, 3, 1]],
        ],
      },
      {},
    ],
    [
      'coordinates divided by zero',
      {
        gps: [
          [1, 'N'],
          [2, [1, 0, 0, 0, 0, 0]],
          [3, 'E'],
          [4, [1, 1]],
        ],
      },
      {},
    ],
    [
      'coordinates out of range',
      {
        gps: [
          [1, 'N'],
          [2, [91, 1]],
          [3, 'E'],
          [4, [1, 1]],
        ],
      },
      {},
    ],
    [
      'only a latitude',
      {
        gps: [
          [1, 'N'],
          [2, [9, 1]],
        ],
      },
      {},
    ],
    ['a GPS version without coordinates', { gps: [[0, 2]] }, {}],
    ['a long name', { main: [[0x10f, 'x'.repeat(5000)]] }, { cameraMake: 'x'.repeat(128) }],
    ['control characters', { main: [[0x110, '\x1b[31m\u0007\u0085']] }, { cameraModel: '[31m' }],
    [
      'directories that refer to themselves',
      {
        main: [
          [0x8769, 8],
          [0x8825, 8],
          [0x10f, 'M'],
        ],
      },
      { cameraMake: 'M' },
    ],
    [
      'directories beyond the end of the file',
      {
        main: [
          [0x8769, 0xffff_fff0],
          [0x8825, 0xffff_ffff],
        ],
      },
      {},
    ],
  ])('is limited to valid properties with %s', async (_, exif, expected) => {
    expect((await readBytes(samples.exifBlock(exif), { detected: 'image/x-adobe-dng' })).properties).toEqual(
      expected,
    );
  });

  it('is read in small pieces, however many fields there are and however much they overlap', async () => {
    const block = Buffer.alloc(64 * 2 ** 20, 'A');
    samples.exifBlock({}).copy(block);
    block.writeUInt16BE(65_535, 8);
    for (let field = 0; field < 65_535; field++) {
      block.set([0x01, 0x0f, 0, 2, 0x03, 0, 0, 0, 0, 0, 0, 0], 10 + 12 * field);
    }
    let bytesRead = 0;
    const at = bytesAt(block);
    const { exif } = await readExif((offset, length) => {
      bytesRead += length;
      return at(offset, length);
    });
    expect(exif?.cameraMake).toMatch(/^MM/);
    expect(bytesRead).toBeLessThan(16 * 1024);
    expect(await readBytes(block, { detected: 'image/x-adobe-dng' })).toMatchObject({
      properties: { cameraMake: expect.stringMatching(/^MM/) as unknown },
    });
  });

  it('is read from XMP if there is no EXIF', async () => {
    const packet = `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description exif:GPSLatitude="51,30.5N"
      photoshop:DateCreated='2020-02-29T12:00:00.5-03:00'><exif:GPSLongitude>0,7,30W</exif:GPSLongitude></rdf:Description>`;
    expect((await readBytes(samples.withXmp(await make('jpeg'), packet))).properties).toMatchObject({
      takenAt: new Date('2020-02-29T15:00:00.500Z'),
      takenAtLocal: '2020-02-29T12:00:00.500',
      hasLocation: true,
      latitude: expect.closeTo(51.508333, 6),
      longitude: -0.125,
    });
  });

  it('takes the time zone from XMP only if both times are equal', async () => {
    const camera: samples.Exif = { exif: [[0x9003, '2020:02:29 12:00:00']] };
    const packet = (time: string) =>
      `<x:xmpmeta><rdf:Description photoshop:DateCreated="${time}"/></x:xmpmeta>`;
    const both = async (time: string) =>
      (await readBytes(samples.withXmp(samples.withExif(await make('jpeg', 16, 16), camera), packet(time))))
        .properties;
    expect(await both('2020-02-29T12:00:00-03:00')).toMatchObject({
      takenAt: new Date('2020-02-29T15:00:00Z'),
      takenAtLocal: '2020-02-29T12:00:00',
    });
    const other = await both('2021-02-28T12:00:00-03:00');
    expect(other).toMatchObject({ takenAtLocal: '2020-02-29T12:00:00' });
    expect(other).not.toHaveProperty('takenAt');
  });

  it.each<[string, (block: Buffer) => Buffer, string]>([
    ['a PNG, after its image data', (block) => samples.pngWith([], [['eXIf', block]]), 'image/png'],
    [
      'a PNG of ImageMagick',
      (block) => {
        const bytes = Buffer.concat([Buffer.from('Exif\0\0'), block]);
        const text = `\nexif\n${String(bytes.length).padStart(8)}\n${bytes.toString('hex')}\n`;
        const profile = Buffer.from(`Raw profile type exif\0\0`);
        return samples.pngWith([['zTXt', Buffer.concat([profile, deflateSync(text)])]], []);
      },
      'image/png',
    ],
    ['a HEIC', (block) => samples.heifWithExif('heic', block, false), 'image/heic'],
    ['a HEIC, inside its metadata box', (block) => samples.heifWithExif('heic', block, true), 'image/heic'],
    ['a JPEG XL', (block) => samples.jxlWith(samples.box('Exif', samples.u32(0), block)), 'image/jxl'],
    [
      'a JPEG XL, compressed',
      (block) =>
        samples.jxlWith(
          samples.box(
            'brob',
            Buffer.from('Exif'),
            brotliCompressSync(Buffer.concat([samples.u32(0), block])),
          ),
        ),
      'image/jxl',
    ],
    [
      'a JPEG 2000',
      (block) => samples.jp2With(samples.box('uuid', Buffer.from('JpgTiffExif->JP2'), block)),
      'image/jp2',
    ],
    ['a Photoshop document', (block) => samples.psd(9, 9, [0x0422, block]), 'image/vnd.adobe.photoshop'],
  ])('is read from %s', async (_, build, detected) => {
    const { takenAt, takenAtLocal, cameraMake, hasLocation } = (
      await readBytes(build(samples.exifBlock(CAMERA)), { detected })
    ).properties!;
    expect({ takenAt, takenAtLocal, cameraMake, hasLocation }).toEqual({
      takenAt: CAMERA_FOUND.takenAt,
      takenAtLocal: CAMERA_FOUND.takenAtLocal,
      cameraMake: 'Canon',
      hasLocation: true,
    });
  });

  it('is read from a CR3 with one block per directory', async () => {
    const bytes = samples.cr3({
      CMT1: { main: [...CAMERA.main!, [256, 6000], [257, 4000]] },
      CMT2: { main: CAMERA.exif! },
      CMT4: { main: CAMERA.gps! },
    });
    expect((await readBytes(bytes)).properties).toEqual({ ...CAMERA_FOUND, width: 6000, height: 4000 });
  });

  it('is read from the text chunks of a PNG and from IPTC', async () => {
    const text = (keyword: string, value: string) => ['tEXt', Buffer.from(`${keyword}\0${value}`)] as const;
    const png = samples.pngWith([], [text('Title', 'Summit'), text('Creation Time', '2004:01:01 01:05 PM')]);
    expect((await readBytes(png)).properties).toMatchObject({
      title: 'Summit',
      takenAtLocal: '2004-01-01T13:05:00',
    });
    const iptc = Buffer.concat(
      Object.entries({ 5: 'Summit', 55: '20240506', 60: '070809+0530' }).map(([field, value]) =>
        Buffer.concat([Buffer.from([0x1c, 2, Number(field), 0, value.length]), Buffer.from(value)]),
      ),
    );
    const psd = samples.psd(9, 7, [0x0404, iptc]);
    expect((await readBytes(psd, { detected: 'image/vnd.adobe.photoshop' })).properties).toEqual({
      ...{ width: 9, height: 7, title: 'Summit' },
      ...{ takenAt: new Date('2024-05-06T01:38:09Z'), takenAtLocal: '2024-05-06T07:08:09' },
    });
  });

  it('is absent from every rendition', async () => {
    const marked = samples.withXmp(
      samples.withExif(await gradient(900, 600).withIccProfile('p3').jpeg().toBuffer(), CAMERA),
      'exif:GPSLatitude="1,2N"',
    );
    for (const text of ['Exif', 'Canon', 'GPSLatitude', 'acsp']) expect(marked.includes(text)).toBe(true);
    const profiles = parseProfiles(['a=jpeg:320:80', 'b=avif:320:50', 'c=webp:320:80', 'd=jpeg:4000:80']);
    const { renditions = [] } = await readBytes(marked, { profiles });
    expect(renditions).toHaveLength(4);
    for (const { bytes } of renditions) {
      for (const text of [
        'Exif',
        'EXIF',
        'Canon',
        'EOS',
        'GPS',
        'xap',
        'xmp',
        'XMP ',
        'acsp',
        'ICCP',
        'Photoshop',
      ]) {
        expect([text, bytes.includes(text)]).toEqual([text, false]);
      }
      const { exif, gps, xmp, icc, iptc } = ExifReader.load(bytes, { expanded: true });
      expect({ exif, gps, xmp, icc, iptc }).toEqual({});
    }
  });
});

describe('an image with too many pixels', () => {
  it.each<[string, () => Buffer | Promise<Buffer>]>([
    ['PNG', () => samples.pngHead(2 ** 31 - 1, 2 ** 31 - 1)],
    ['animated PNG', () => samples.pngHead(1000, 1000, 2001)],
    ['PNG of many frames', () => samples.pngHead(1, 1, 10_001)],
    ['JPEG', async () => samples.resizedJpeg(await make('jpeg', 16, 16), 64_250, 64_250)],
    ['GIF', () => samples.gif(65_535, 65_535, 1)],
    ['animated GIF', () => samples.gif(1000, 1000, 2001)],
    ['GIF of many frames', () => samples.gif(1, 1, 10_001)],
    ['WebP', () => samples.webpHead(16_384, 16_384)],
    ['TIFF', () => samples.tiffHead(2 ** 31 - 1, 2 ** 31 - 1)],
    ['AVIF', () => samples.heifHead('avif', [64, 64], [2 ** 31 - 1, 2 ** 31 - 1])],
  ])('is rejected before memory is allocated: %s', async (_, bytes) => {
    expect(await readBytes(await bytes())).toEqual({
      refusal: { code: 'TOO_MANY_PIXELS', message: expect.any(String) },
    });
  });

  it('is accepted when no decoder reads it', async () => {
    const heic = samples.heifHead('heic', [512, 512], [20_000, 20_000]);
    expect(await readBytes(heic)).toEqual({
      properties: { width: 20_000, height: 20_000 },
      variantsReason: 'DECODER_MISSING',
    });
    const bmp = samples.bmp(2 ** 31 - 1, -(2 ** 31));
    expect(await readBytes(bmp)).toEqual({ properties: {}, variantsReason: 'DECODER_MISSING' });
  });

  it('gets no variants if its decoder would need too much memory', async () => {
    expect(await readBytes(samples.heifHead('avif', [10_000, 5001]))).toEqual({
      properties: { width: 10_000, height: 5001 },
      variantsReason: 'TOO_MANY_PIXELS',
    });
    expect(
      (await readBytes(await make('avif', 60, 40), { limits: { maxPixels: 2 * 60 * 40 } })).renditions,
    ).toHaveLength(2);
  });

  it('is rejected from one pixel above the limit', async () => {
    const limits = { maxPixels: 600 * 400 };
    expect((await readBytes(await make('jpeg'), { limits })).refusal).toBeUndefined();
    expect((await readBytes(await make('jpeg', 601, 400), { limits })).refusal?.code).toBe('TOO_MANY_PIXELS');
    const moving = { maxPixels: 81, maxFrames: 100 };
    expect((await readBytes(samples.gif(9, 9, 20), { limits: moving })).refusal).toBeUndefined();
    expect((await readBytes(samples.gif(9, 9, 21), { limits: moving })).refusal?.code).toBe(
      'TOO_MANY_PIXELS',
    );
    const frames = { maxPixels: 1e8, maxFrames: 3 };
    expect((await readBytes(samples.gif(9, 9, 3), { limits: frames })).refusal).toBeUndefined();
    expect((await readBytes(samples.gif(9, 9, 4), { limits: frames })).refusal?.code).toBe('TOO_MANY_PIXELS');
  });
});

describe('a damaged image', () => {
  const UNREADABLE = {
    refusal: { code: 'UNREADABLE', message: 'The picture is damaged and cannot be decoded.' },
  };

  it.each(FORMATS)(
    'is unreadable as a %s cut in half, and readable with bytes after its end',
    async (format) => {
      const bytes = await make(format);
      const half = bytes.subarray(0, bytes.length / 2);
      expect(await readBytes(half, { detected: `image/${format}` })).toEqual(UNREADABLE);
      const long = Buffer.concat([bytes, Buffer.alloc(999, 'x')]);
      expect((await readBytes(long, { detected: `image/${format}` })).refusal).toBeUndefined();
    },
  );

  it('is readable if only its end marker is missing', async () => {
    for (const [format, mark] of [
      ['jpeg', 2],
      ['gif', 1],
    ] as const) {
      const bytes = await make(format);
      expect((await readBytes(bytes.subarray(0, bytes.length - mark))).renditions).toHaveLength(2);
      expect(await readBytes(bytes.subarray(0, bytes.length - mark - 60))).toEqual(UNREADABLE);
    }
  });
});

describe('an image layout that the decoder does not support', () => {
  const SIDE = 16;
  const DATA = Buffer.alloc(SIDE * SIDE * 3, 90);
  const PLAIN = { 256: [SIDE], 257: [SIDE], 258: [8], 259: [1], 277: [3] };
  const COLOURLESS = { ...PLAIN, 273: [8], 278: [SIDE], 279: [DATA.length] };
  const STRIP = { ...COLOURLESS, 262: [2] };
  const planes = [0, 1, 2].map((plane) => 8 + plane * SIDE * SIDE);
  const jpegAs = async (offset: number, value: number) => {
    const bytes = await make('jpeg', SIDE, SIDE);
    bytes[bytes.indexOf(Buffer.from([0xff, 0xc0])) + offset] = value;
    return bytes;
  };

  const LAYOUTS: readonly (readonly [string, string, () => Buffer | Promise<Buffer>])[] = [
    ['TIFF in Lab', 'tiff', () => samples.tiff({ ...STRIP, 262: [8] }, DATA)],
    [
      'TIFF with 12-bit samples',
      'tiff',
      () => samples.tiff({ ...STRIP, 258: [12], 262: [1], 277: [1] }, DATA),
    ],
    ['TIFF without a colour interpretation', 'tiff', () => samples.tiff(COLOURLESS, DATA)],
    ['TIFF with an old-style JPEG', 'tiff', () => samples.tiff({ ...STRIP, 259: [6], 262: [6] }, DATA)],
    ['TIFF with LZMA compression', 'tiff', () => samples.tiff({ ...STRIP, 259: [34_925] }, DATA)],
    [
      'TIFF with separate tiles per colour',
      'tiff',
      () => {
        const tiles = { 284: [2], 322: [SIDE], 323: [SIDE], 324: planes, 325: planes.map(() => SIDE * SIDE) };
        return samples.tiff({ ...PLAIN, 258: [8, 8, 8], 262: [2], ...tiles }, DATA);
      },
    ],
    ['animated AVIF', 'avif', () => samples.animatedAvif(SIDE, SIDE)],
    ['AVIF with only a track', 'avif', () => samples.avifTrack(SIDE, SIDE)],
    ['hierarchical JPEG', 'jpeg', () => jpegAs(1, 0xc5)],
    ['JPEG with 12-bit samples', 'jpeg', () => jpegAs(4, 12)],
    [
      'PNG in the iPhone layout',
      'png',
      async () => {
        const bytes = await make('png', SIDE, SIDE);
        return Buffer.concat([bytes.subarray(0, 8), chunk('CgBI', Buffer.alloc(4)), bytes.subarray(8)]);
      },
    ],
  ];

  it.each(LAYOUTS)('gets no variants: %s', async (_name, format, made) => {
    const bytes = await made();
    const detected = `image/${format}`;
    const { properties, ...rest } = await readBytes(bytes, { detected });
    expect(properties).toMatchObject({ width: SIDE, height: SIDE });
    expect(rest).toEqual({ variantsReason: 'UNSUPPORTED_LAYOUT' });
    expect((await readBytes(bytes.subarray(0, bytes.length - 200), { detected })).refusal?.code).toBe(
      'UNREADABLE',
    );
  });

  it('is reported as damaged when its data lie beyond the end of the file', async () => {
    const beyond = samples.tiff({ ...STRIP, 262: [8], 273: [5000] }, DATA);
    for (const bytes of [beyond, samples.tiff({ ...PLAIN, 262: [8] }, DATA)]) {
      expect((await readBytes(bytes, { detected: 'image/tiff' })).refusal?.code).toBe('UNREADABLE');
    }
    const cut = Buffer.concat([samples.heifHead('avis', [9, 9]), samples.box('mdat', DATA).subarray(0, 500)]);
    expect((await readBytes(cut)).refusal?.code).toBe('UNREADABLE');
  });

  it('is distinguished from damaged data', async () => {
    const bytes = await gradient(200, 200).tiff({ compression: 'lzw' }).toBuffer();
    bytes.fill(0xff, 300, 900);
    expect((await readBytes(bytes)).refusal?.code).toBe('UNREADABLE');
  });

  it('has its size reported as displayed', async () => {
    const turned = samples.tiff({ ...STRIP, 256: [32], 257: [8], 262: [8], 274: [6] }, DATA);
    expect((await readBytes(turned, { detected: 'image/tiff' })).properties).toMatchObject({
      width: 8,
      height: 32,
    });
  });
});

describe('a file without an image decoder', () => {
  it.each<[string, Buffer, string, Record<string, unknown>]>([
    ['BMP', samples.bmp(30, -20), 'image/bmp', { width: 30, height: 20 }],
    ['icon', samples.ico([16, 16], [0, 0], [32, 32]), 'image/x-icon', { width: 256, height: 256 }],
    ['HEIC header', samples.heifHead('heic', [30, 20]), 'image/heic', { width: 30, height: 20 }],
    ['empty Photoshop document', Buffer.from('8BPS\0\x01'), 'image/vnd.adobe.photoshop', {}],
    ['Photoshop document', samples.psd(30, 20), 'image/vnd.adobe.photoshop', { width: 30, height: 20 }],
    ['JPEG 2000', samples.jp2With(), 'image/jp2', { width: 30, height: 20 }],
    ['JPEG XL', samples.jxlWith(), 'image/jxl', { width: 24, height: 16 }],
    ['rotated JPEG XL', samples.jxlTurned(300, 200), 'image/jxl', { width: 200, height: 300 }],
    [
      'raw photograph with a preview',
      samples.rawHead(
        [
          [254, 1],
          [256, 160],
          [257, 120],
        ],
        [
          [254, 0],
          [256, 6000],
          [257, 4000],
        ],
      ),
      'image/x-nikon-nef',
      { width: 6000, height: 4000 },
    ],
    [
      'raw photograph of a cropped sensor',
      samples.exifBlock({
        main: [
          [4, 2],
          [5, 3],
          [6, 22],
          [7, 33],
        ],
      }),
      'image/x-panasonic-rw2',
      { width: 30, height: 20 },
    ],
    ['SVG', Buffer.from('<svg width="30.2" height="15pt"/>'), 'image/svg+xml', { width: 30, height: 20 }],
    [
      'SVG with a view box',
      Buffer.from('<?xml version="1.0"?><svg:svg viewBox="0,0 30 20">'),
      'image/svg+xml',
      { width: 30, height: 20 },
    ],
    [
      'SVG with a height and a view box',
      Buffer.from("<svg height='20' viewBox='0 0 3 2'>"),
      'image/svg+xml',
      { width: 30, height: 20 },
    ],
    ['SVG with relative sizes', Buffer.from('<svg width="100%" height="9em"/>'), 'image/svg+xml', {}],
    [
      'SVG larger than any image',
      Buffer.from('<svg width="99999999" height="9999999"/>'),
      'image/svg+xml',
      { width: 99_999_999, height: 9_999_999 },
    ],
    ['empty icon', Buffer.from([0, 0, 1, 0]), 'image/x-icon', {}],
  ])('is accepted without variants: %s', async (_, bytes, detected, properties) => {
    expect(await readBytes(bytes, { detected })).toEqual({ properties, variantsReason: 'DECODER_MISSING' });
  });

  it.each([
    [
      'an SVG',
      '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>',
    ],
    ['a PGM image', 'P2\n1 1\n255\n0\n'],
    ['a PDF', samples.pdf(1, 'x').toString('latin1')],
  ])('is not decoded under another type: %s', async (_, text) => {
    expect(await readBytes(Buffer.from(text, 'latin1'), { detected: 'image/tiff' })).toMatchObject({
      refusal: { code: 'UNREADABLE' },
    });
    await expect(sharp(Buffer.from(text, 'latin1')).metadata()).rejects.toThrow(/unsupported image format/);
  });

  it('fails if the file does not exist', async () => {
    const file = await fileOf(Buffer.alloc(0));
    await expect(readFileWith(`${file}-gone`, await make('jpeg'), { profiles: PROFILES })).rejects.toThrow(
      /ENOENT/,
    );
  });
});
