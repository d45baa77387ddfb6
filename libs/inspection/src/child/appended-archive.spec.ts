import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { type ArchivedFile, type ArchiveLies, zipArchive } from '../testing/index.js';
import { detectType } from './detect-type.js';
import { hasAppendedArchive } from './appended-archive.js';
import { ARCHIVE_TAIL_BYTES } from './zip-directory.js';

const words: ArchivedFile = { name: 'words', content: 'Harmless words' };
const behind = (before: Buffer | string, lies: ArchiveLies = {}) => zipArchive([words], { before, ...lies });
const junk = Buffer.from([1]);
/** Nothing of it can be packed but its directory. */
const dense = zipArchive([{ name: 'noise', content: randomBytes(200_000), method: 0 }]);
const junk8 = Buffer.alloc(8, 1);
const directoryBeforeTheTail = zipArchive(
  Array.from({ length: 3_000 }, (_, index) => ({ name: `${index}`, method: 0 as const })),
  { before: junk },
);

const inSectors = (more: number) =>
  behind(junk, { after: Buffer.alloc(512 - (behind(junk).length % 512) + more) });

/** The record and the locator of a large archive, whose own end record knows nothing of it (APPNOTE.TXT 4.3.14 to 4.3.16). */
function largeArchive(): Buffer {
  const end = Buffer.from(`PK\x05\x06${'\0'.repeat(4)}${'\xff'.repeat(12)}\0\0`, 'latin1');
  return Buffer.concat([junk, Buffer.alloc(500), Buffer.from(`PK\x06\x07${'\0'.repeat(16)}`, 'latin1'), end]);
}

describe('unpackers take for an archive', () => {
  it.each<[string, Buffer, string | null, boolean]>([
    ['one behind a byte', behind(junk), null, true],
    ['one behind text', behind('#!/bin/sh\nexit\n'), null, true],
    ['one behind a program', behind('MZ\0\0'), 'application/x-msdownload', true],
    ['one behind compressed data', behind('\x1f\x8b'), 'application/gzip', true],
    ['one that counts from its own beginning', Buffer.concat([junk, zipArchive([words])]), null, true],
    ['one with something behind it', behind(junk, { after: 'x' }), null, true],
    ['one with a comment', behind(junk, { comment: 'c'.repeat(65_535) }), null, true],
    ['one of many entries', directoryBeforeTheTail, null, true],
    ['a large one', largeArchive(), null, true],
    ['the last file in a container', behind(junk, { after: '\0'.repeat(1024) }), 'application/x-tar', false],
    ['one in what only begins like a container', behind(junk, { after: 'x' }), 'application/x-tar', true],
    ['one in something longer', behind(junk, { after: 'x'.repeat(1024) }), 'application/x-tar', true],
    ['one in sectors', inSectors(0), 'application/x-cfb', false],
    ['one that does not fill its sector', inSectors(1), 'application/x-cfb', true],
    ['one that a container ends with', behind(junk), 'application/x-tar', true],
    ['one that was packed', gzipSync(dense), 'application/gzip', false],
    ['one behind what was packed', Buffer.concat([gzipSync('x'), dense]), 'application/gzip', true],
    ['one behind it that ends alike', Buffer.concat([gzipSync('x'), dense, junk8]), 'application/gzip', true],
    [
      'one behind it and of the size that it says',
      Buffer.concat([gzipSync('x'), dense, junk8, gzipSync(dense).subarray(-4)]),
      'application/gzip',
      true,
    ],
    ['one that was packed, and more', Buffer.concat([gzipSync(dense), junk]), 'application/gzip', true],
    ['an empty one', Buffer.concat([junk, zipArchive([])]), null, false],
    ['a signature that leads nowhere', Buffer.from('xPK\x05\x06'.padEnd(500, 'x'), 'latin1'), null, false],
    ['one that ends too early', behind(junk, { after: Buffer.alloc(ARCHIVE_TAIL_BYTES) }), null, false],
    ['nothing', Buffer.alloc(0), null, false],
  ])('%s', (_, bytes, detected, answer) => {
    expect(hasAppendedArchive(bytes.subarray(-ARCHIVE_TAIL_BYTES), bytes.length, detected)).toBe(answer);
  });
});

describe('what holds an archive as it is', () => {
  it.each([
    ['a cabinet', 'vnd.ms-cab-compressed'],
    ['an archive of Electron', 'x-asar'],
    ['a database', 'x-sqlite3'],
    ['recorded packets', 'vnd.tcpdump.pcap'],
    ['a mailbox', 'vnd.ms-outlook'],
  ])('is none itself, unless it ends with it: %s', (_, subtype) => {
    const inside = behind(junk, { after: 'something of its own' });
    expect(hasAppendedArchive(inside, inside.length, `application/${subtype}`)).toBe(false);
    expect(hasAppendedArchive(behind(junk), behind(junk).length, `application/${subtype}`)).toBe(true);
  });

  const pack = (tool: string) => spawnSync(tool, ['-c'], { input: dense }).stdout as Buffer | null;
  const packers = ['gzip', 'zstd', 'xz', 'lz4'].filter((tool) => pack(tool) !== null);
  it.each(packers)('is none itself when it comes from %s', async (tool) => {
    const packed = pack(tool)!;
    const detected = await detectType(packed.subarray(0, 65_536));
    expect(packed.includes('PK\x05\x06', 0, 'latin1')).toBe(true);
    expect(hasAppendedArchive(packed, packed.length, null)).toBe(true);
    expect(hasAppendedArchive(packed.subarray(-ARCHIVE_TAIL_BYTES), packed.length, detected)).toBe(false);
  });
});
