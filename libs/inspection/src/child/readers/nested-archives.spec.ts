import { deflateRawSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { type ArchivedFile, type ArchiveOverrides, zipArchive } from '../../testing/index.js';
import { bufferSource, InvalidArchiveError } from '../bounded-file.js';
import { ENCRYPTED } from '../encryption.js';
import { readDirectory } from '../zip-directory.js';
import { nestedObjection } from './nested-archives.js';

const SCANNABLE = 100_000;

function objectionTo(...files: readonly ArchivedFile[]): Promise<string | null> {
  const archive = bufferSource(zipArchive(files));
  return nestedObjection(archive, readDirectory(archive).entries, SCANNABLE);
}

const inner = (content: Buffer, method: 0 | 8 = 8): ArchivedFile => ({ name: 'a.zip', content, method });
const words = { name: 'words', content: 'Harmless words' };
const zip64 = zipArchive([{ ...words, central: { extra: Buffer.from('01000000', 'hex') } }]);
const encrypted = zipArchive([{ ...words, lies: { flags: 1 } }]);
const behind = (before: string, lies: ArchiveOverrides, file: ArchivedFile = words) =>
  zipArchive([file], { before: Buffer.from(before, 'latin1'), ...lies });
const tar = behind(`name${'\0'.repeat(253)}ustar\x0000`.padEnd(512, '\0'), { after: Buffer.alloc(1024) });
const nested = (depth: number): Buffer =>
  depth === 0 ? zipArchive([words]) : zipArchive([inner(nested(depth - 1))]);

describe('nestedObjection', () => {
  it.each<[string, ArchivedFile[]]>([
    ['no archives', [words, { name: 'none', content: '' }]],
    ['a deflated archive', [inner(zipArchive([words]))]],
    ['a stored archive', [words, inner(zipArchive([words]), 0)]],
    ['an empty archive', [inner(zipArchive([]))]],
    ['archives nested 15 deep', [inner(nested(14))]],
    ['an archive behind a program', [inner(behind('MZ\0\0', {}), 0)]],
    ['an archive in a tar', [inner(tar, 0)]],
    ['an archive in a PDF', [inner(behind('%PDF-1.7\n', { after: '\nendstream\n%%EOF\n' }), 0)]],
    [
      'an end signature without a directory',
      [inner(Buffer.from('xPK\x05\x06'.padEnd(500, 'x'), 'latin1'), 0)],
    ],
  ])('accepts %s', async (_, files) => {
    expect(await objectionTo(...files)).toBeNull();
  });

  it.each<[string, Buffer, string]>([
    ['ZIP64', zip64, 'it has ZIP64 fields'],
    ['encryption', encrypted, ENCRYPTED],
    [
      'an entry larger than the scan limit',
      zipArchive([{ name: 'a', content: Buffer.alloc(100_001) }]),
      'an entry is larger than the scan limit',
    ],
    ['too many layers', nested(16), 'it has too many nested archives'],
  ])('reports %s in a nested archive, stored or deflated, at any depth', async (_, content, why) => {
    expect(await objectionTo(words, inner(content))).toBe(why);
    expect(await objectionTo(inner(content, 0))).toBe(why);
    expect(await objectionTo(words, inner(zipArchive([words, inner(content)])))).toBe(why);
  });

  it.each<[string, ArchiveOverrides, ArchivedFile, string]>([
    ['MZ\0\0', {}, { ...words, central: { extra: Buffer.from('01000000', 'hex') } }, 'it has ZIP64 fields'],
    ['MZ\0\0', { after: 'signature' }, { ...words, lies: { flags: 1 } }, ENCRYPTED],
    ['MZ\0\0', {}, inner(zip64), 'it has ZIP64 fields'],
  ])('reports an archive stored behind %j', async (before, lies, file, why) => {
    const hidden = inner(behind(before, lies, file), 0);
    expect(await objectionTo(words, hidden)).toBe(why);
    expect(await objectionTo(inner(zipArchive([hidden])))).toBe(why);
  });

  it.each(['\x9c', '#!/bin/sh\n', '\x1f\x8b\x08', 'GIF89a', '%PDF-1.7\n'])(
    'rejects an archive with a stored archive behind %j',
    async (before) => {
      const hidden = inner(behind(before, {}), 0);
      await expect(objectionTo(words, hidden)).rejects.toThrow('also a ZIP archive');
      await expect(objectionTo(inner(zipArchive([hidden])))).rejects.toThrow('also a ZIP archive');
    },
  );

  it('reads no more nested archives than an archive may have entries', async () => {
    const many = zipArchive(
      Array.from({ length: 5001 }, (_, index) => ({ name: String(index), content: zipArchive([]) })),
    );
    expect(await objectionTo(inner(many))).toBeNull();
    expect(await objectionTo(inner(many), { ...inner(many), name: 'b.zip' })).toBe(
      'it has too many nested archives',
    );
  });

  it('rejects an entry that begins with empty blocks', async () => {
    const empty = Buffer.from('000000ffff', 'hex');
    const content = Buffer.concat([...Array.from({ length: 300 }, () => empty), deflateRawSync(zip64)]);
    const lies = { method: 8, bytes: zip64.length };
    await expect(objectionTo({ name: 'a', content, method: 0, lies })).rejects.toThrow(InvalidArchiveError);
  });

  it.each<[string, Partial<ArchivedFile>]>([
    ['exceeds its declared size', { lies: { bytes: 10 } }],
    ['declares a size beyond the memory limit', { lies: { bytes: 2 ** 29 } }],
  ])('does not unpack an entry that %s', async (_, more) => {
    await expect(objectionTo({ ...inner(zipArchive([words])), ...more })).rejects.toThrow(
      InvalidArchiveError,
    );
  });

  it('does not read a packed entry that exceeds the memory limit', async () => {
    const packedBytes = 2 ** 29;
    const original = zipArchive([inner(zipArchive([words]))]);
    const reads: number[] = [];
    const read = (offset: number, length: number) => {
      reads.push(length);
      return Buffer.concat([original.subarray(offset, offset + length)], Math.min(length, 2 ** 20));
    };
    const [entry] = readDirectory(bufferSource(original)).entries;
    const archive = { sizeBytes: 2 ** 30, read };
    const objection = nestedObjection(archive, [{ ...entry!, packedBytes }], SCANNABLE);
    await expect(objection).rejects.toThrow('too large to be inspected');
    expect(Math.max(...reads)).toBeLessThan(packedBytes);
  });
});
