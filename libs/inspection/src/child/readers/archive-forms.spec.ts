import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { type ArchivedFile, officeParts, zipArchive } from '../../testing/index.js';
import { ENCRYPTED } from '../encryption.js';
import { read, readBehind } from './archive.js';

/* Forms that honest programs give to their archives, and the forms beside them that hide content. */

const folder = mkdtempSync(path.join(tmpdir(), 'forms-'));
afterAll(() => rmSync(folder, { recursive: true }));

const LIMITS = { maxPixels: 1, maxFrames: 1, ffprobe: null };
const ZIP = 'application/zip';
const file = path.join(folder, 'file');

function look(bytes: Buffer, detected = ZIP) {
  writeFileSync(file, bytes);
  return read({ path: file, sizeBytes: bytes.length, detected, profiles: [] }, LIMITS);
}

const UNKNOWN = 0xffffffff;
const a: ArchivedFile = { name: 'a', content: 'aaaa', method: 0 };

function zip64(...values: readonly number[]): Buffer {
  const field = Buffer.alloc(4 + 8 * values.length);
  field.writeUInt16LE(1, 0);
  field.writeUInt16LE(8 * values.length, 2);
  values.forEach((value, index) => field.writeBigUInt64LE(BigInt(value), 4 + 8 * index));
  return field;
}

describe('a ZIP64 field', () => {
  it.each<[string, ArchivedFile]>([
    ['that keeps room', { ...a, local: { extra: zip64(0, 0) } }],
    ['that repeats the sizes', { ...a, local: { extra: zip64(4, 4) } }],
    ['that repeats them in both headers', { ...a, lies: { extra: zip64(4, 4) } }],
    [
      'beside others',
      { ...a, local: { extra: Buffer.concat([Buffer.from('5554010000', 'hex'), zip64(0, 0)]) } },
    ],
    [
      'for sizes that follow the entry',
      {
        ...a,
        lies: { flags: 8 },
        local: { extra: zip64(0, 0), crc: 0, bytes: UNKNOWN, packedBytes: UNKNOWN },
      },
    ],
  ])('hides nothing: %s', async (_, entry) => {
    expect(await look(zipArchive([entry]))).toEqual({ detected: ZIP, opaque: null });
  });

  it.each<[string, ArchivedFile, string]>([
    ['another size', { ...a, local: { extra: zip64(5, 4) } }, 'it has ZIP64 fields'],
    [
      'the sizes in another order',
      { name: 'a', content: 'a'.repeat(99), local: { extra: zip64(4, 99) } },
      'it has ZIP64 fields',
    ],
    ['one size', { ...a, local: { extra: zip64(4) } }, 'it has ZIP64 fields'],
    ['an offset as well', { ...a, central: { extra: zip64(4, 4, 0) } }, 'it has ZIP64 fields'],
    [
      'two fields',
      { ...a, local: { extra: Buffer.concat([zip64(4, 4), zip64(4, 4)]) } },
      'it has ZIP64 fields',
    ],
    [
      'sizes that are nowhere else',
      { ...a, lies: { extra: zip64(4, 4), bytes: UNKNOWN, packedBytes: UNKNOWN } },
      'it has ZIP64 fields',
    ],
    [
      'sizes that are nowhere else in the own header',
      { ...a, local: { extra: zip64(4, 4), bytes: UNKNOWN, packedBytes: UNKNOWN } },
      'an entry and the directory disagree',
    ],
    [
      'a size that is unknown without one',
      { ...a, lies: { flags: 8 }, local: { crc: 0, bytes: UNKNOWN, packedBytes: UNKNOWN } },
      'an entry and the directory disagree',
    ],
  ])('is an objection with %s', async (_, entry, why) => {
    expect((await look(zipArchive([entry]))).opaque).toBe(why);
  });

  it('is the same behind a program', async () => {
    const behind = async (extra: Buffer) => {
      const bytes = zipArchive([{ ...a, local: { extra } }], { before: 'MZ' });
      writeFileSync(file, bytes);
      const request = {
        path: file,
        sizeBytes: bytes.length,
        detected: 'application/x-msdownload',
        profiles: [],
      };
      return (await readBehind(request, LIMITS)).opaque;
    };
    expect(await behind(zip64(0, 0))).toBeNull();
    expect(await behind(zip64(4, 4))).toBeNull();
    expect(await behind(zip64(5, 4))).toBe('it has ZIP64 fields');
  });
});

describe('the type of a package', () => {
  const VISIO = 'application/vnd.ms-visio.drawing';
  it.each<[string, Buffer, string]>([
    ['a drawing of Visio', zipArchive(officeParts(`${VISIO}.main+xml`)), VISIO],
    [
      'one with macros',
      zipArchive(officeParts(`${VISIO}.macroEnabled.main+xml`)),
      'application/vnd.ms-visio.drawing.macroenabled.12',
    ],
    [
      'one that says nothing of its macros',
      zipArchive([...officeParts(`${VISIO}.main+xml`), { name: 'visio/vbaProject.bin' }]),
      'application/vnd.ms-visio.drawing.macroenabled.12',
    ],
    [
      'an XPS',
      zipArchive(officeParts('application/vnd.ms-package.xps-fixeddocumentsequence+xml')),
      'application/vnd.ms-xpsdocument',
    ],
    [
      'slides, each of which has a type of its own',
      zipArchive(
        officeParts(
          'application/vnd.openxmlformats-officedocument.presentationml.slide+xml',
          'application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml',
        ),
      ),
      'application/vnd.openxmlformats-officedocument.presentationml.presentation',
    ],
    [
      'a picture of layers',
      zipArchive([{ name: 'mimetype', content: 'image/openraster', method: 0 }]),
      'image/openraster',
    ],
    [
      'a document of StarOffice',
      zipArchive([{ name: 'mimetype', content: 'application/vnd.sun.xml.writer' }]),
      'application/vnd.sun.xml.writer',
    ],
    ['what is no archive by its own word', zipArchive([{ name: 'mimetype', content: 'image/png' }]), ZIP],
    [
      'a program by its own word',
      zipArchive([{ name: 'mimetype', content: 'application/java-archive' }]),
      ZIP,
    ],
  ])('%s', async (_, bytes, type) => {
    expect(await look(bytes)).toEqual({ detected: type, opaque: null });
  });
});

describe('a document with a password', () => {
  const ODT = 'application/vnd.oasis.opendocument.text';
  const mimetype: ArchivedFile = { name: 'mimetype', content: ODT, method: 0 };
  const manifest = (entry: string): ArchivedFile => ({
    name: 'META-INF/manifest.xml',
    content: `<manifest:manifest><manifest:file-entry>${entry}</manifest:file-entry></manifest:manifest>`,
  });
  it.each<[string, Buffer, string]>([
    ['OpenDocument', zipArchive([mimetype, manifest('<manifest:encryption-data/>')]), ODT],
    ['OpenDocument with another prefix', zipArchive([mimetype, manifest('<m:encryption-data x="y"/>')]), ODT],
    ['iWork', zipArchive([{ name: 'Index.zip' }, { name: '.iwph' }]), ZIP],
    ['an older iWork', zipArchive([{ name: 'index.xml', lies: { method: 25_452 } }]), ZIP],
  ])('is opaque: %s', async (_, bytes, type) => {
    expect(await look(bytes)).toEqual({ detected: type, opaque: ENCRYPTED });
  });

  it('is not one that only speaks of encryption', async () => {
    const bytes = zipArchive([mimetype, manifest('&lt;encryption-data/> encryption-data')]);
    expect(await look(bytes)).toEqual({ detected: ODT, opaque: null });
  });
});
