import { deflateRawSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { type ArchivedFile, zipArchive } from '../../testing/index.js';
import { piecesOf, Unbelievable } from '../bounded-file.js';
import { readDirectory } from '../zip-directory.js';
import { nestedObjection } from './nested-archives.js';

const SCANNABLE = 100_000;

function objectionTo(...files: readonly ArchivedFile[]): string | null {
  const archive = piecesOf(zipArchive(files));
  return nestedObjection(archive, readDirectory(archive).entries, SCANNABLE);
}

const inner = (content: Buffer, method: 0 | 8 = 8): ArchivedFile => ({ name: 'a.zip', content, method });
const words = { name: 'words', content: 'Harmless words' };
const zip64 = zipArchive([{ ...words, central: { extra: Buffer.from('01000000', 'hex') } }]);
const encrypted = zipArchive([{ ...words, lies: { flags: 1 } }]);
const nested = (depth: number): Buffer =>
  depth === 0 ? zipArchive([words]) : zipArchive([inner(nested(depth - 1))]);

describe('nestedObjection', () => {
  it.each<[string, ArchivedFile[]]>([
    ['no archives', [words, { name: 'none', content: '' }]],
    ['one, deflated', [inner(zipArchive([words]))]],
    ['one, stored', [words, inner(zipArchive([words]), 0)]],
    ['an empty one', [inner(zipArchive([]))]],
    ['some layers', [inner(nested(14))]],
  ])('has nothing against %s', (_, files) => {
    expect(objectionTo(...files)).toBeNull();
  });

  it.each<[string, Buffer, string]>([
    ['ZIP64', zip64, 'it has ZIP64 fields'],
    ['encryption', encrypted, 'it is encrypted'],
    [
      'more than is scanned',
      zipArchive([{ name: 'a', content: Buffer.alloc(100_001) }]),
      'an entry is larger than what is scanned',
    ],
    ['too many layers', nested(16), 'it has too many archives in it'],
  ])('sees %s in an archive in it, however deep and packed', (_, content, why) => {
    expect(objectionTo(words, inner(content))).toBe(why);
    expect(objectionTo(inner(content, 0))).toBe(why);
    expect(objectionTo(words, inner(zipArchive([words, inner(content)])))).toBe(why);
  });

  it('looks into no more archives than an archive may have entries', () => {
    const many = zipArchive(
      Array.from({ length: 5001 }, (_, index) => ({ name: String(index), content: zipArchive([]) })),
    );
    expect(objectionTo(inner(many))).toBeNull();
    expect(objectionTo(inner(many), { ...inner(many), name: 'b.zip' })).toBe(
      'it has too many archives in it',
    );
  });

  it('looks behind blocks of nothing', () => {
    const empty = Buffer.from('000000ffff', 'hex');
    const content = Buffer.concat([...Array.from({ length: 300 }, () => empty), deflateRawSync(zip64)]);
    const lies = { method: 8, bytes: zip64.length };
    expect(() => objectionTo({ name: 'a', content, method: 0, lies })).toThrow(Unbelievable);
  });

  it.each<[string, Partial<ArchivedFile>]>([
    ['is larger than it says', { lies: { bytes: 10 } }],
    ['says that it needs all memory', { lies: { bytes: 2 ** 29 } }],
  ])('does not unpack one that %s', (_, more) => {
    expect(() => objectionTo({ ...inner(zipArchive([words])), ...more })).toThrow(Unbelievable);
  });
});
