import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { type ArchivedFile, officeParts, zipArchive } from '../../testing/index.js';
import { ENCRYPTED } from '../encryption.js';
import { read, readBehind } from './archive.js';

/* Forms of archives that ordinary programs write, and similar forms that hide content. */

const folder = mkdtempSync(path.join(tmpdir(), 'forms-'));
afterAll(() => rmSync(folder, { recursive: true }));

const LIMITS = { maxPixels: 1, maxFrames: 1, ffprobe: null };
const ZIP = 'application/zip';
const file = path.join(folder, 'file');

function inspect(bytes: Buffer, detected = ZIP) {
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

describe('an archive with ZIP64 fields', () => {
  it.each<[string, ArchivedFile]>([
    ['reserved but unused', { ...a, local: { extra: zip64(0, 0) } }],
    ['repeating the sizes', { ...a, local: { extra: zip64(4, 4) } }],
    ['repeating the sizes in both headers', { ...a, lies: { extra: zip64(4, 4) } }],
    [
      'among other extra fields',
      { ...a, local: { extra: Buffer.concat([Buffer.from('5554010000', 'hex'), zip64(0, 0)]) } },
    ],
    [
      'for sizes in a data descriptor',
      {
        ...a,
        lies: { flags: 8 },
        local: { extra: zip64(0, 0), crc: 0, bytes: UNKNOWN, packedBytes: UNKNOWN },
      },
    ],
  ])('is scannable with fields %s', async (_, entry) => {
    expect(await inspect(zipArchive([entry]))).toEqual({ detected: ZIP, opaque: null });
  });

  it.each<[string, ArchivedFile, string]>([
    ['a differing size', { ...a, local: { extra: zip64(5, 4) } }, 'it has ZIP64 fields'],
    [
      'the sizes in reverse order',
      { name: 'a', content: 'a'.repeat(99), local: { extra: zip64(4, 99) } },
      'it has ZIP64 fields',
    ],
    ['only one size', { ...a, local: { extra: zip64(4) } }, 'it has ZIP64 fields'],
    ['sizes and an offset', { ...a, central: { extra: zip64(4, 4, 0) } }, 'it has ZIP64 fields'],
    [
      'two fields',
      { ...a, local: { extra: Buffer.concat([zip64(4, 4), zip64(4, 4)]) } },
      'it has ZIP64 fields',
    ],
    [
      'sizes only in the ZIP64 field',
      { ...a, lies: { extra: zip64(4, 4), bytes: UNKNOWN, packedBytes: UNKNOWN } },
      'it has ZIP64 fields',
    ],
    [
      'local sizes only in the ZIP64 field',
      { ...a, local: { extra: zip64(4, 4), bytes: UNKNOWN, packedBytes: UNKNOWN } },
      'an entry and the directory disagree',
    ],
    [
      'unknown sizes and no ZIP64 field',
      { ...a, lies: { flags: 8 }, local: { crc: 0, bytes: UNKNOWN, packedBytes: UNKNOWN } },
      'an entry and the directory disagree',
    ],
  ])('is opaque with %s', async (_, entry, why) => {
    expect((await inspect(zipArchive([entry]))).opaque).toBe(why);
  });

  it('follows the same rules behind a program', async () => {
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

describe('type detection of packages', () => {
  const VISIO = 'application/vnd.ms-visio.drawing';
  it.each<[string, Buffer, string]>([
    ['a Visio drawing', zipArchive(officeParts(`${VISIO}.main+xml`)), VISIO],
    [
      'a Visio drawing with macros',
      zipArchive(officeParts(`${VISIO}.macroEnabled.main+xml`)),
      'application/vnd.ms-visio.drawing.macroenabled.12',
    ],
    [
      'a Visio drawing with undeclared macros',
      zipArchive([...officeParts(`${VISIO}.main+xml`), { name: 'visio/vbaProject.bin' }]),
      'application/vnd.ms-visio.drawing.macroenabled.12',
    ],
    [
      'an XPS document',
      zipArchive(officeParts('application/vnd.ms-package.xps-fixeddocumentsequence+xml')),
      'application/vnd.ms-xpsdocument',
    ],
    [
      'a presentation that lists slides first',
      zipArchive(
        officeParts(
          'application/vnd.openxmlformats-officedocument.presentationml.slide+xml',
          'application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml',
        ),
      ),
      'application/vnd.openxmlformats-officedocument.presentationml.presentation',
    ],
    [
      'an OpenRaster picture',
      zipArchive([{ name: 'mimetype', content: 'image/openraster', method: 0 }]),
      'image/openraster',
    ],
    [
      'a StarOffice document',
      zipArchive([{ name: 'mimetype', content: 'application/vnd.sun.xml.writer' }]),
      'application/vnd.sun.xml.writer',
    ],
    ['a mimetype entry that names a picture', zipArchive([{ name: 'mimetype', content: 'image/png' }]), ZIP],
    [
      'a mimetype entry that names a program',
      zipArchive([{ name: 'mimetype', content: 'application/java-archive' }]),
      ZIP,
    ],
  ])('detects %s', async (_, bytes, type) => {
    expect(await inspect(bytes)).toEqual({ detected: type, opaque: null });
  });
});

describe('an archive with names that differ only in case', () => {
  const DOCX = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';
  const EPUB = 'application/epub+zip';
  const JAR = 'application/java-archive';
  const APK = 'application/vnd.android.package-archive';
  const WHY = 'two entries have names that differ only in case';
  const document = officeParts(`${DOCX}.main+xml`);
  const named = (...names: readonly string[]) => names.map((name) => ({ name }));
  const jar = named('META-INF/MANIFEST.MF', 'a/a.class');
  const app = named('AndroidManifest.xml', 'classes.dex', 'res/a.xml');
  const book: ArchivedFile[] = [{ name: 'mimetype', content: EPUB, method: 0 }, { name: 'a.xhtml' }];

  it.each<[string, readonly ArchivedFile[], string]>([
    ['content types of a document before the others', [...named('[content_types].XML'), ...document], DOCX],
    ['content types of a document after the others', [...document, ...named('[content_types].xml')], ZIP],
    ['parts of a document', [...document, ...named('WORD/Document.xml')], DOCX],
    ['files of an EPUB', [...book, ...named('A.xhtml')], EPUB],
    ['mimetype entries', [...book, ...named('MIMETYPE')], ZIP],
    ['manifests of a JAR', [...jar, ...named('meta-inf/Manifest.mf')], JAR],
    ['programs of an Android app', [...app, ...named('Classes.dex')], APK],
  ])('is opaque with two %s', async (_, files, type) => {
    expect(await inspect(zipArchive(files))).toEqual({ detected: type, opaque: WHY });
  });

  it.each<[string, readonly ArchivedFile[], string]>([
    ['an ordinary archive', named('README', 'readme'), ZIP],
    ['an obfuscated JAR', [...jar, ...named('a/A.class')], JAR],
    ['an Android app with short resource names', [...app, ...named('res/A.xml')], APK],
  ])('is not opaque as %s', async (_, files, type) => {
    expect(await inspect(zipArchive(files))).toEqual({ detected: type, opaque: null });
  });
});

describe('a document that requires a password', () => {
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
    expect(await inspect(bytes)).toEqual({ detected: type, opaque: ENCRYPTED });
  });

  it('is not opaque when its manifest only mentions encryption', async () => {
    const bytes = zipArchive([mimetype, manifest('&lt;encryption-data/> encryption-data')]);
    expect(await inspect(bytes)).toEqual({ detected: ODT, opaque: null });
  });
});
