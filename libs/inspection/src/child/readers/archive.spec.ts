import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type ArchivedFile, type ArchiveOverrides, officeParts, zipArchive } from '../../testing/index.js';
import type { Finding } from '../reader.js';
import { ENCRYPTED } from '../encryption.js';
import { read as readArchive, readBehind } from './archive.js';
import { read as readPolyglot } from './polyglot.js';

const folder = mkdtempSync(path.join(tmpdir(), 'archive-'));
afterAll(() => rmSync(folder, { recursive: true }));

const LIMITS = { maxPixels: 1, maxFrames: 1, ffprobe: null };
const ZIP = 'application/zip';
const file = path.join(folder, 'file');

function inspect(bytes: Buffer, detected = ZIP, limits = {}, read = readArchive): Promise<Finding> {
  writeFileSync(file, bytes);
  return read({ path: file, sizeBytes: bytes.length, detected, profiles: [] }, { ...LIMITS, ...limits });
}

const OOXML = 'application/vnd.openxmlformats-officedocument';
const DOCX = `${OOXML}.wordprocessingml.document`;
const DOCM = 'application/vnd.ms-word.document.macroenabled.12';
const docx = (...more: ArchivedFile[]) => zipArchive([...officeParts(`${DOCX}.main+xml`), ...more]);
const noise = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 2654435761) >>> 24));

describe('type detection of archives', () => {
  it.each<[string, Buffer, string]>([
    ['an empty archive', zipArchive([]), ZIP],
    ['an archive of plain files', zipArchive([{ name: 'a.txt', content: 'a' }]), ZIP],
    ['a document', docx(), DOCX],
    [
      'a document that lists its content types last',
      zipArchive([{ name: 'media', content: noise, method: 0 }, ...officeParts(`${DOCX}.main+xml`)]),
      DOCX,
    ],
    [
      'a sheet',
      zipArchive(officeParts(`${OOXML}.spreadsheetml.sheet.main+xml`)),
      `${OOXML}.spreadsheetml.sheet`,
    ],
    [
      'a presentation',
      zipArchive(officeParts(`${OOXML}.presentationml.presentation.main+xml`)),
      `${OOXML}.presentationml.presentation`,
    ],
    [
      'a document with macros',
      zipArchive(officeParts('application/vnd.ms-word.document.macroEnabled.main+xml')),
      DOCM,
    ],
    ['a document with undeclared macros', docx({ name: 'word/vbaProject.bin' }), DOCM],
    ['a document with undeclared macros in upper case', docx({ name: 'WORD/VBAPROJECT.BIN' }), DOCM],
    [
      'a document with macros that only the content types declare',
      zipArchive(officeParts(`${DOCX}.main+xml`, 'application/vnd.ms-office.vbaProject')),
      DOCM,
    ],
    [
      'a document with macros declared in character references',
      zipArchive(officeParts(`${DOCX}.main+xml`, 'application/vnd.ms-office.&#118;ba&#x50;roject')),
      DOCM,
    ],
    [
      'a document with macros declared in UTF-16',
      zipArchive([
        {
          name: '[Content_Types].xml',
          content: Buffer.from(
            `\ufeff${String(officeParts(`${DOCX}.main+xml`, 'application/vnd.ms-office.vbaProject')[0]!.content)}`,
            'utf16le',
          ),
        },
      ]),
      DOCM,
    ],
    [
      'a sheet with Excel 4 macros',
      zipArchive(
        officeParts(`${OOXML}.spreadsheetml.sheet.main+xml`, 'application/vnd.ms-excel.macrosheet+xml'),
      ),
      'application/vnd.ms-excel.sheet.macroenabled.12',
    ],
    [
      'a binary sheet',
      zipArchive(officeParts('application/vnd.ms-excel.sheet.binary.macroEnabled.main')),
      'application/vnd.ms-excel.sheet.binary.macroenabled.12',
    ],
    [
      'a template with macros',
      zipArchive(officeParts('application/vnd.ms-word.template.macroEnabledTemplate.main+xml')),
      'application/vnd.ms-word.template.macroenabled.12',
    ],
    [
      'an OpenDocument',
      zipArchive([
        { name: 'mimetype', content: 'application/vnd.oasis.opendocument.text', method: 0 },
        { name: 'META-INF/manifest.xml' },
      ]),
      'application/vnd.oasis.opendocument.text',
    ],
    [
      'an EPUB',
      zipArchive([{ name: 'x' }, { name: 'mimetype', content: 'application/epub+zip' }]),
      'application/epub+zip',
    ],
    ['a mimetype entry of another family', zipArchive([{ name: 'mimetype', content: 'text/html' }]), ZIP],
    ['a JAR', zipArchive([{ name: 'x' }, { name: 'META-INF/MANIFEST.MF' }]), 'application/java-archive'],
    [
      'an Android app',
      zipArchive([
        { name: 'AndroidManifest.xml' },
        { name: 'classes.dex' },
        { name: 'META-INF/MANIFEST.MF' },
      ]),
      'application/vnd.android.package-archive',
    ],
  ])('detects %s', async (_, bytes, type) => {
    expect(await inspect(bytes)).toEqual({ detected: type, opaque: null });
  });

  it('does not trust the type that only the first entries show', async () => {
    expect(await inspect(zipArchive([{ name: 'a' }]), DOCX)).toEqual({ detected: ZIP, opaque: null });
    expect(await inspect(zipArchive([{ name: 'a' }]), 'model/3mf')).toMatchObject({ detected: 'model/3mf' });
  });

  it('does not inflate a part that exceeds the size limit', async () => {
    const [types, part] = officeParts(`${DOCX}.main+xml`);
    const bomb = { ...types!, content: Buffer.alloc(64 * 2 ** 20, String(types!.content)) };
    expect(await inspect(zipArchive([bomb, part!]))).toMatchObject({ detected: ZIP });
    const stored = { ...types!, content: String(types!.content).padEnd(2 ** 20 + 1), method: 0 as const };
    expect(await inspect(zipArchive([stored, part!]))).toMatchObject({ detected: ZIP });
    const lying = { ...bomb, lies: { bytes: 100 } };
    expect(await inspect(zipArchive([lying, part!]))).toMatchObject({ detected: ZIP });
  });
});

const ZIP64 = Buffer.from('0100080000000000000000ff', 'hex');
const AES = Buffer.from('01990700020041450108ff', 'hex');
const a: ArchivedFile = { name: 'a', content: 'aaaa', method: 0 };
const b: ArchivedFile = { name: 'b', content: 'bbbb', method: 0 };
const GIB = 2 ** 30;

describe('an archive that hides content from a scanner', () => {
  it.each<[string, ArchivedFile[], ArchiveOverrides, string]>([
    ['encryption', [{ ...a, lies: { flags: 1 } }], {}, ENCRYPTED],
    ['strong encryption', [{ ...a, lies: { flags: 0x40 } }], {}, ENCRYPTED],
    ['AES', [{ ...a, lies: { method: 99 } }], {}, 'it is compressed by method 99'],
    ['AES in an extra field only', [{ ...a, central: { extra: AES } }], {}, ENCRYPTED],
    ['ZIP64 in the directory', [{ ...a, central: { extra: ZIP64 } }], {}, 'it has ZIP64 fields'],
    ['ZIP64 in a local header', [{ ...a, local: { extra: ZIP64 } }], {}, 'it has ZIP64 fields'],
    ['LZMA', [{ ...a, lies: { method: 14 } }], {}, 'it is compressed by method 14'],
    ['bytes before its first entry', [a], { before: 'x' }, 'something precedes its first entry'],
    ['bytes after its end', [a], { after: 'x' }, 'something follows the archive'],
    ['a wrong directory offset', [a], { directoryOffset: 0 }, 'its directory is broken'],
    [
      'a smaller entry count than listed',
      [a, b],
      { entries: 1 },
      'its directory has more entries than it says',
    ],
    ['a larger entry count than listed', [a], { entries: 2 }, 'its directory is broken'],
    ['too many entries', [a], { entries: 10_001 }, 'it has more than 10000 entries'],
    ['parts on another disk', [a], { disk: 1 }, 'it is one part of several'],
    ['two entries of the same name', [a, a], {}, 'two entries have one name'],
    ['one entry listed twice', [a, { ...b, central: { offset: 0 } }], {}, 'two entries overlap'],
    ['overlapping entries', [{ ...a, lies: { packedBytes: 10, bytes: 10 } }, b], {}, 'two entries overlap'],
    [
      'an entry that reaches into the directory',
      [{ ...a, lies: { packedBytes: 10, bytes: 10 } }],
      {},
      'an entry reaches into the directory',
    ],
    [
      'a local name that differs',
      [{ ...a, local: { name: 'x' } }],
      {},
      'an entry and the directory disagree',
    ],
    [
      'a local method that differs',
      [{ ...a, local: { method: 8 } }],
      {},
      'an entry and the directory disagree',
    ],
    ['a local size that differs', [{ ...a, local: { bytes: 3 } }], {}, 'an entry and the directory disagree'],
    [
      'encryption in the local header only',
      [{ ...a, local: { flags: 1 } }],
      {},
      'an entry and the directory disagree',
    ],
    ['two sizes of a stored entry', [{ ...a, lies: { bytes: 3 } }], {}, 'two sizes of one entry disagree'],
    ['an entry outside the file', [{ ...a, central: { offset: GIB } }], {}, 'it points out of the file'],
    [
      'an entry without a local header',
      [{ ...a, central: { offset: 1 } }],
      {},
      'an entry is not where it should be',
    ],
    [
      'a flat bomb',
      [{ name: 'a', content: Buffer.alloc(101 * 2 ** 20) }],
      {},
      'it unpacks to far more than its own size',
    ],
    [
      'a bomb beside a large entry',
      [
        { name: 'a', content: Buffer.concat([noise, noise]), method: 0 },
        { name: 'b', content: Buffer.alloc(101 * 2 ** 20) },
      ],
      {},
      'it unpacks to far more than its own size',
    ],
    [
      'more than 2 GiB of content',
      [a, b, { name: 'c' }].map((entry) => ({ ...entry, method: 8, lies: { bytes: GIB } })),
      {},
      'it unpacks to more than 2 GiB',
    ],
  ])('is opaque with %s', async (_, files, lies, reason) => {
    expect((await inspect(zipArchive(files, lies))).opaque).toBe(reason);
  });

  it('is opaque with a ZIP64 locator', async () => {
    const bytes = zipArchive([a]);
    const locator = Buffer.alloc(20);
    locator.write('PK\x06\x07', 'latin1');
    const end = bytes.length - 22;
    const found = await inspect(Buffer.concat([bytes.subarray(0, end), locator, bytes.subarray(end)]));
    expect(found.opaque).toBe('it has ZIP64 fields');
  });

  it('is opaque with a second directory in the comment', async () => {
    const first = zipArchive([a, b]);
    const second = zipArchive([{ name: 'c' }]);
    const end = second.subarray(-22);
    end.writeUInt32LE(first.length + second.length - 22 - end.readUInt32LE(12), 16);
    const both = Buffer.concat([first, second]);
    both.writeUInt16LE(second.length, first.length - 2);
    expect((await inspect(both)).opaque).toBe('it has two directories');
  });

  it('is opaque without a directory, or when it is truncated', async () => {
    const bytes = zipArchive([a, b]);
    expect((await inspect(Buffer.from('PK\x03\x04', 'latin1'))).opaque).toBe('it has no directory');
    expect((await inspect(bytes.subarray(0, -30))).opaque).toBe('it has no directory');
    expect((await inspect(bytes.subarray(0, -1))).opaque).toBe('it has no directory');
    const commented = zipArchive([a], { comment: 'comment' });
    expect((await inspect(commented.subarray(0, -1))).opaque).toBe('its end is cut off');
  });

  it('is opaque with a gap after the directory', async () => {
    const bytes = zipArchive([a]);
    const gap = Buffer.concat([bytes.subarray(0, -22), Buffer.alloc(4), bytes.subarray(-22)]);
    expect((await inspect(gap)).opaque).toBe('its directory does not end where it should');
  });

  it('is opaque with an entry on another disk', async () => {
    const bytes = zipArchive([a]);
    bytes.writeUInt16LE(1, bytes.indexOf('PK\x01\x02', undefined, 'latin1') + 34);
    expect((await inspect(bytes)).opaque).toBe('it is one part of several');
  });

  it('is opaque as a bomb in many entries', async () => {
    const mebibyte = Buffer.alloc(2 ** 20);
    const pieces = Array.from({ length: 101 }, (_, index) => ({ name: `${index}`, content: mebibyte }));
    expect((await inspect(zipArchive(pieces))).opaque).toBe('it unpacks to far more than its own size');
    expect((await inspect(zipArchive(pieces.slice(1, 100)))).opaque).toBeNull();
  });

  it('is opaque with an entry larger than the scan limit', async () => {
    const bytes = zipArchive([{ name: 'a', content: noise }]);
    expect((await inspect(bytes, ZIP, { scannableBytes: noise.length - 1 })).opaque).toMatch(/larger than/);
    expect((await inspect(bytes, ZIP, { scannableBytes: noise.length })).opaque).toBeNull();
  });

  it('is not opaque in the forms that ordinary programs write', async () => {
    const streamed = {
      ...{ name: 'a', content: 'aaaa', lies: { flags: 8 } },
      local: { crc: 0, bytes: 0, packedBytes: 0 },
    };
    const padded = { ...b, local: { extra: Buffer.alloc(3) } };
    const aligned = zipArchive([streamed, padded, { name: 'folder/' }], {
      between: Buffer.from('the signing block of an app'),
      comment: 'made by hand PK\x05\x06',
    });
    expect(await inspect(aligned)).toEqual({ detected: ZIP, opaque: null });
    const inner = { name: 'inner.zip', content: zipArchive([a, b]), method: 0 as const };
    expect(await inspect(zipArchive([a, inner]))).toEqual({ detected: ZIP, opaque: null });
  });
});

const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex');

describe('the polyglot reader', () => {
  const archive = zipArchive([a, b]);
  const pdf = '%PDF-1.7\n1 0 obj\n';
  /** The offsets count from the start of the picture. */
  const adjusted = zipArchive([a, b], { before: PNG });
  it.each<[string, Buffer, string, boolean]>([
    ['a picture', PNG, 'image/png', false],
    ['a picture and an archive', Buffer.concat([PNG, archive]), 'image/gif', true],
    ['a picture and an adjusted archive', adjusted, 'image/png', true],
    ['a picture, an archive and trailing bytes', Buffer.concat([PNG, archive, PNG]), 'image/jpeg', true],
    ['sound and an archive', Buffer.concat([PNG, archive]), 'audio/mpeg', true],
    [
      'a motion photo',
      Buffer.concat([PNG, Buffer.from('0000001c6674797069736f6d', 'hex')]),
      'image/jpeg',
      false,
    ],
    [
      'a picture with end signatures but no archive',
      Buffer.concat([PNG, Buffer.from('PK\x05\x06'.repeat(9))]),
      'image/png',
      false,
    ],
    ['a picture and an empty archive', Buffer.concat([PNG, zipArchive([])]), 'image/png', false],
    ['a PDF and an archive', Buffer.concat([Buffer.from(`${pdf}%%EOF`), archive]), 'application/pdf', true],
    [
      'a PDF in the comment of an archive',
      zipArchive([a], { before: pdf, comment: '\n%%EOF' }),
      'application/pdf',
      true,
    ],
    [
      'a PDF with an attachment',
      zipArchive([a], { before: pdf, after: '\nendstream\n%%EOF\n' }),
      'application/pdf',
      false,
    ],
    [
      'a picture, an archive and a PDF end mark',
      zipArchive([a], { before: PNG, after: '%%EOF' }),
      'image/png',
      true,
    ],
  ])('refuses only ZIP polyglots: %s', async (_, bytes, detected, isRefused) => {
    const { refusal = null } = await inspect(bytes, detected, {}, readPolyglot);
    expect(refusal?.code ?? null).toBe(isRefused ? 'TYPE_MISMATCH' : null);
  });

  it('refuses an archive with a ZIP64 locator', async () => {
    const locator = Buffer.alloc(20);
    locator.write('PK\x06\x07', 'latin1');
    const end = zipArchive([], { directoryOffset: 0xffffffff });
    const { refusal } = await inspect(Buffer.concat([PNG, locator, end]), 'image/png', {}, readPolyglot);
    expect(refusal?.code).toBe('TYPE_MISMATCH');
  });
});

describe('an archive behind a program', () => {
  const MZ = 'application/x-msdownload';
  const program = Buffer.concat([Buffer.from('MZ'), noise]);
  const behind = (files: readonly ArchivedFile[], lies: ArchiveOverrides = {}) =>
    zipArchive(files, { before: program, ...lies });
  const opaqueOf = async (bytes: Buffer, limits = {}) =>
    (await inspect(bytes, MZ, limits, readBehind)).opaque ?? null;
  const extra = Buffer.from('01000000', 'hex');
  const inner = (files: readonly ArchivedFile[]): ArchivedFile => ({ name: 'x', content: zipArchive(files) });

  it.each<[string, Buffer]>([
    ['it is missing', program],
    ['its offsets count from the start of the file', behind([a, b])],
    ['its offsets count from its own start', Buffer.concat([program, zipArchive([a, b])])],
    ['a signature follows it', behind([a, b], { after: Buffer.alloc(5000) })],
    ['it contains a deflated archive', behind([a, inner([b])])],
    ['it contains a stored archive', behind([a, { ...inner([b]), method: 0 }])],
  ])('is not opaque when %s', async (_, bytes) => {
    expect(await opaqueOf(bytes)).toBeNull();
  });

  it.each<[string, Buffer, string]>([
    ['ZIP64', behind([a, { ...b, central: { extra } }]), 'it has ZIP64 fields'],
    ['ZIP64 in a local header', behind([{ ...a, local: { extra } }]), 'it has ZIP64 fields'],
    [
      'sizes in a data descriptor',
      behind([{ ...a, lies: { flags: 8 }, local: { packedBytes: 0, bytes: 0, crc: 0 } }]),
      'the size of an entry follows it',
    ],
    ['encryption', behind([{ ...a, lies: { flags: 1 } }]), ENCRYPTED],
    ['ZIP64 in a nested archive', behind([inner([{ ...a, central: { extra } }])]), 'it has ZIP64 fields'],
    [
      'a directory in its comment, which other unpackers use',
      Buffer.concat([
        behind([a], { comment: 'c'.repeat(zipArchive([b]).length + 1) }).subarray(
          0,
          -zipArchive([b]).length - 1,
        ),
        zipArchive([b], { after: 'c' }),
      ]),
      'it has two directories',
    ],
    ['a second archive', Buffer.concat([behind([a]), zipArchive([b])]), 'it has two directories'],
    [
      'a local name that differs',
      behind([{ ...a, local: { name: 'other' } }]),
      'an entry and the directory disagree',
    ],
  ])('is opaque with %s', async (_, bytes, why) => {
    expect(await opaqueOf(bytes)).toBe(why);
  });

  it('is opaque with an entry larger than the scan limit', async () => {
    const large = behind([{ name: 'a', content: Buffer.alloc(1001) }]);
    expect(await opaqueOf(large, { scannableBytes: 1000 })).toBe('an entry is larger than the scan limit');
  });
});

describe('mutated archives', () => {
  const original = zipArchive([...officeParts(`${DOCX}.main+xml`), a, b, { name: 'mimetype', content: 'x' }]);
  const position = fc.nat(original.length - 1);
  const change = fc.oneof(
    fc.record({ at: position, bytes: fc.uint8Array({ minLength: 1, maxLength: 4 }) }),
    fc.record({
      at: position,
      bytes: fc
        .constantFrom('ffff', 'ffffffff', '00000000', '504b0506')
        .map((hex) => Buffer.from(hex, 'hex')),
    }),
  );
  const mutated = fc
    .tuple(fc.array(change, { maxLength: 12 }), position, fc.nat(3))
    .map(([changes, cut, kind]) => {
      const bytes = Buffer.from(original);
      for (const { at, bytes: patch } of changes) bytes.set(patch.slice(0, bytes.length - at), at);
      if (kind === 0) return bytes.subarray(0, cut);
      return kind === 1 ? Buffer.concat([bytes.subarray(cut), bytes, bytes.subarray(0, cut)]) : bytes;
    });

  it('get a valid answer within seconds', async () => {
    await fc.assert(
      fc.asyncProperty(mutated, async (bytes) => {
        const began = process.cpuUsage();
        const { detected = null, opaque } = await inspect(bytes);
        const { refusal = null } = await inspect(bytes, 'image/png', {}, readPolyglot);
        await inspect(bytes, 'application/x-elf', {}, readBehind);
        expect(process.cpuUsage(began).user / 1000).toBeLessThan(5000);
        expect(opaque === null || typeof opaque === 'string').toBe(true);
        // A file of unknown type must not count as scannable.
        if (detected === null) expect(opaque).not.toBeNull();
        expect(refusal === null || refusal.code === 'TYPE_MISMATCH').toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('are read within bounds with many entries, extra fields or end records', async () => {
    const many = zipArchive(
      Array.from({ length: 10_000 }, (_, index) => ({ name: `entry-${index}`, method: 0 as const })),
    );
    const extras = zipArchive(
      Array.from({ length: 600 }, (_, index) => ({
        ...a,
        name: `${index}`,
        local: { extra: Buffer.alloc(0xffff, 2) },
      })),
    );
    const ends = Buffer.concat([PNG, Buffer.from('PK\x05\x06'.repeat(17_000), 'latin1')]);
    const began = process.cpuUsage();
    expect((await inspect(many)).opaque).toBeNull();
    expect((await inspect(extras)).opaque).toBe('its directory is too large');
    expect((await inspect(ends, 'image/png', {}, readPolyglot)).refusal ?? null).toBeNull();
    expect((await inspect(Buffer.concat([zipArchive([a]), ends]))).opaque).not.toBeNull();
    expect(process.cpuUsage(began).user / 1000).toBeLessThan(5000);
  });
});
