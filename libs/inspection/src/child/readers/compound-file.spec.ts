import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { compoundFile, encryptedOfficeDocument, zipArchive } from '../../testing/index.js';
import { ENCRYPTED } from '../encryption.js';
import { read } from './compound-file.js';

const folder = mkdtempSync(path.join(tmpdir(), 'compound-'));
afterAll(() => rmSync(folder, { recursive: true }));

const LIMITS = { maxPixels: 1, maxFrames: 1, ffprobe: null };
const file = path.join(folder, 'file');

function inspect(bytes: Buffer) {
  writeFileSync(file, bytes);
  return read({ path: file, sizeBytes: bytes.length, detected: 'application/x-cfb', profiles: [] }, LIMITS);
}

/** Builds a stream of 4096 bytes that begins with these 16-bit numbers. */
const words = (...values: readonly number[]) => {
  const bytes = Buffer.alloc(4096);
  values.forEach((value, index) => bytes.writeUInt16LE(value, 2 * index));
  return bytes;
};
const FIB = 0xa5ec;
const [BOF, WRITE_PROTECT, FILE_PASS] = [0x0809, 0x0086, 0x002f];
const currentUser = (token: number) => {
  const bytes = Buffer.alloc(40);
  bytes.writeUInt32LE(token, 12);
  return bytes;
};
const text = words(FIB, 0xc1, 0, 0x409, 0, 0x0200);
const large = Buffer.alloc(200_000);
const extra = Buffer.from('01000000', 'hex');
const hidden = zipArchive([{ name: 'a', content: 'a', central: { extra } }]);

describe('a compound file', () => {
  it.each<[string, Buffer]>([
    ['a document', compoundFile({ WordDocument: text })],
    ['a sheet', compoundFile({ Workbook: words(BOF, 4, 0x0600, 5, WRITE_PROTECT, 0, FILE_PASS + 1, 0) })],
    ['slides', compoundFile({ 'Current User': currentUser(0xe391c05f), 'PowerPoint Document': large })],
    ['a message', compoundFile({ __properties_version1: Buffer.alloc(64), A: large })],
    ['a stream that only mentions encryption', compoundFile({ Data: Buffer.from('EncryptedPackage') })],
    ['a header alone', compoundFile({}).subarray(0, 512)],
    ['a truncated encrypted document', encryptedOfficeDocument().subarray(0, 10_000)],
    [
      'noise behind a header',
      Buffer.concat([encryptedOfficeDocument().subarray(0, 512), Buffer.alloc(9000, 7)]),
    ],
  ])('is not opaque: %s', async (_, bytes) => {
    expect(await inspect(bytes)).toEqual({});
  });

  it.each<[string, Buffer]>([
    ['a document', compoundFile({ WordDocument: words(FIB, 0xc1, 0, 0x409, 0, 0x0300) })],
    ['a sheet', compoundFile({ Workbook: words(BOF, 4, 0x0600, 5, WRITE_PROTECT, 0, FILE_PASS, 6) })],
    ['an older sheet', compoundFile({ Book: words(BOF, 4, 0x0500, 5, FILE_PASS, 4) })],
    ['slides', compoundFile({ A: Buffer.alloc(700), 'Current User': currentUser(0xf3d1c4df), B: large })],
  ])('is opaque when it requires a password: %s', async (_, bytes) => {
    expect(await inspect(bytes)).toEqual({ opaque: ENCRYPTED });
  });

  it.each<[string, Buffer]>([
    ['a document of the newer formats', encryptedOfficeDocument()],
    ['a large document', encryptedOfficeDocument(2_000_000)],
    [
      'stream names in other case',
      compoundFile({ ENCRYPTEDPACKAGE: large, EncryptionInfo: Buffer.alloc(9) }),
    ],
    [
      'a package among many streams',
      compoundFile({
        ...Object.fromEntries(Array.from({ length: 99 }, (_, n) => [`s${n}`, Buffer.alloc(70)])),
        EncryptedPackage: large,
      }),
    ],
  ])('gets the type of a protected document when it holds an encrypted package: %s', async (_, bytes) => {
    expect(await inspect(bytes)).toEqual({
      detected: 'application/x-tika-ooxml-protected',
      opaque: ENCRYPTED,
    });
  });

  it('is opaque when it ends with an archive', async () => {
    const whole = compoundFile({ WordDocument: text });
    const { opaque } = await inspect(Buffer.concat([whole, hidden]));
    expect(opaque).toContain('ZIP archive as well');
  });

  it('is read within bounds when its sector chains are cyclic', async () => {
    const bytes = encryptedOfficeDocument();
    const tableAt = bytes.length - 512;
    // Each sector points to itself.
    for (let sector = 0; sector < 128; sector++) bytes.writeUInt32LE(sector, tableAt + 4 * sector);
    const began = process.cpuUsage();
    expect(await inspect(bytes)).toMatchObject({ opaque: ENCRYPTED });
    bytes.writeUInt32LE(0, 48);
    expect(await inspect(bytes)).toEqual({});
    expect(process.cpuUsage(began).user / 1000).toBeLessThan(5000);
  });
});
