/** Real: the decoders and the files. The readers run in this process; the service runs them in child processes. */
import { describe, expect, it } from '@jest/globals';
import ExifReader from 'exifreader';
import sharp from 'sharp';
import { parseProfiles } from '#libs/domain';
import { dots, jpegWith } from '../../support/hostile-files/pictures.js';
import { readBytes, useFolder } from './readers.harness.js';
import * as samples from './samples.js';

useFolder();

/** Part of every text that the test embeds in a file. */
const MARK = 'residue4111';
const PROFILES = parseProfiles(['a=jpeg:64:80', 'b=webp:64:80', 'c=avif:64:50', 'd=jpeg:16x16:80:cover']);
const XMP = `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="48,51.5N" exif:UserComment="${MARK}"/>
  </rdf:RDF></x:xmpmeta>`;
const GPS = {
  GPSLatitudeRef: 'N',
  GPSLatitude: '48/1 51/1 30/1',
  GPSLongitudeRef: 'E',
  GPSLongitude: '2/1 0/1 0/1',
};

const MAKER_NOTE = 0x92_7c;
const FIELDS: samples.Exif = {
  main: [[0x10f, MARK]],
  exif: [[MAKER_NOTE, `${MARK} maker note`]],
  gps: [
    [1, 'N'],
    [2, [48, 1, 51, 1, 30, 1]],
    [3, 'E'],
    [4, [2, 1, 0, 1, 0, 1]],
  ],
};

/** An EXIF block whose second directory holds a thumbnail. EXIF 2.32, 4.5.5 */
async function exifWithThumbnail(): Promise<Buffer> {
  const block = samples.exifBlock(FIELDS);
  const thumbnail = await jpegWith([0xfe, Buffer.from(`${MARK} thumbnail`)]);
  const directory = Buffer.alloc(2 + 2 * 12 + 4);
  directory.writeUInt16BE(2, 0);
  for (const [index, [tag, value]] of [
    [0x201, block.length + directory.length],
    [0x202, thumbnail.length],
  ].entries()) {
    directory.writeUInt16BE(tag!, 2 + 12 * index);
    directory.writeUInt16BE(4, 4 + 12 * index);
    directory.writeUInt32BE(1, 6 + 12 * index);
    directory.writeUInt32BE(value!, 10 + 12 * index);
  }
  // The first directory has three fields: the maker, and the two other directories.
  block.writeUInt32BE(block.length, 8 + 2 + 3 * 12);
  return Buffer.concat([block, directory, thumbnail]);
}

/** A JPEG with EXIF, a thumbnail, XMP, IPTC, a comment, and a second picture after its end. */
async function jpeg(): Promise<Buffer> {
  const caption = Buffer.concat([Buffer.from([0x1c, 2, 120, 0, MARK.length]), Buffer.from(MARK)]);
  const resource = Buffer.alloc(12);
  resource.write('8BIM');
  resource.writeUInt16BE(0x0404, 4);
  resource.writeUInt32BE(caption.length, 8);
  const picture = await jpegWith(
    [0xe1, Buffer.concat([Buffer.from('Exif\0\0'), await exifWithThumbnail()])],
    [0xe1, Buffer.from(`http://ns.adobe.com/xap/1.0/\0${XMP}`)],
    [0xed, Buffer.concat([Buffer.from('Photoshop 3.0\0'), resource, caption])],
    [0xfe, Buffer.from(`${MARK} comment`)],
  );
  return Buffer.concat([picture, await jpegWith([0xfe, Buffer.from(`${MARK} second picture`)])]);
}

/** A GIF with a comment and XMP. GIF89a, 24 and 26 */
async function gif(): Promise<Buffer> {
  const bytes = await dots.gif();
  const block = (text: string) =>
    Buffer.concat([Buffer.from([text.length]), Buffer.from(text), Buffer.alloc(1)]);
  const extensions = Buffer.concat([
    Buffer.from([0x21, 0xfe]),
    block(`${MARK} comment`),
    Buffer.from([0x21, 0xff, 11]),
    Buffer.from('XMP DataXMP'),
    block(`<x:xmpmeta>${MARK}</x:xmpmeta>`),
  ]);
  return Buffer.concat([bytes.subarray(0, -1), extensions, bytes.subarray(-1)]);
}

const encoded = (format: 'png' | 'webp' | 'avif' | 'tiff') => () =>
  sharp({ create: { width: 80, height: 60, channels: 3, background: '#246' } })
    .withExif({ IFD0: { Make: MARK }, IFD2: { UserComment: MARK }, IFD3: GPS })
    .withXmp(XMP)
    .toFormat(format)
    .toBuffer();

const textChunks = () =>
  Promise.resolve(
    samples.pngWith(
      [['tEXt', Buffer.from(`Comment\0${MARK}`)]],
      [
        ['eXIf', samples.exifBlock(FIELDS)],
        ['iTXt', Buffer.from(`XML:com.adobe.xmp\0\0\0\0\0${XMP}`)],
      ],
    ),
  );

describe('metadata that is embedded in a file', () => {
  it.each<[string, () => Promise<Buffer>]>([
    ['a JPEG', jpeg],
    ['a PNG', encoded('png')],
    ['a PNG with text chunks', textChunks],
    ['a GIF', gif],
    ['a WebP', encoded('webp')],
    ['an AVIF', encoded('avif')],
    ['a TIFF', encoded('tiff')],
  ])('does not reach the variants of %s', async (_, build) => {
    const bytes = await build();
    expect(bytes.includes(MARK)).toBe(true);
    const { renditions = [] } = await readBytes(bytes, { profiles: PROFILES });
    expect(renditions.map(({ profile }) => profile.name)).toEqual(['a', 'b', 'c', 'd']);
    for (const { bytes: variant } of renditions) {
      for (const text of [MARK, 'GPS', 'Exif', 'EXIF', 'xmpmeta', 'ns.adobe.com', '8BIM']) {
        expect([text, variant.includes(text)]).toEqual([text, false]);
      }
      const { exif, gps, xmp, iptc, Thumbnail, makerNotes } = ExifReader.load(variant, { expanded: true });
      expect({ exif, gps, xmp, iptc, Thumbnail, makerNotes }).toEqual({});
    }
  });

  it.each<[string, Buffer, string]>([
    ['a HEIC', samples.heifWithExif('heic', samples.exifBlock(FIELDS), false), 'image/heic'],
    [
      'a HEIC with the item in its metadata',
      samples.heifWithExif('heic', samples.exifBlock(FIELDS), true),
      'image/heic',
    ],
    ['an MP4 with ©xyz', samples.mp4({ more: [samples.xyz('+48.8583+002.0000/')] }), 'video/mp4'],
    ['a 3GPP with loci', samples.mp4({ more: [samples.loci(2, 48.8583)] }), 'video/mp4'],
  ])('gives %s a location and no variants', async (_, bytes, detected) => {
    const { properties, renditions = [] } = await readBytes(bytes, { detected, profiles: PROFILES });
    expect(properties).toMatchObject({
      hasLocation: true,
      latitude: expect.closeTo(48.8583, 3),
      longitude: expect.closeTo(2, 3),
    });
    expect(renditions).toEqual([]);
  });

  it('gives properties only of what the owner may look for: no maker note, comment or thumbnail', async () => {
    const { properties } = await readBytes(await jpeg(), { profiles: PROFILES });
    expect(properties).toMatchObject({ cameraMake: MARK, hasLocation: true });
    expect(JSON.stringify({ ...properties, cameraMake: '' })).not.toContain(MARK);
  });
});
