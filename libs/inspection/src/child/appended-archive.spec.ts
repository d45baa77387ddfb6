import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { type ArchivedFile, type ArchiveOverrides, zipArchive } from '../testing/index.js';
import { detectType } from './detect-type.js';
import { hasAppendedArchive } from './appended-archive.js';
import { ARCHIVE_TAIL_BYTES } from './zip-directory.js';

const words: ArchivedFile = { name: 'words', content: 'Harmless words' };
const archiveAfter = (before: Buffer | string, lies: ArchiveOverrides = {}) =>
  zipArchive([words], { before, ...lies });
const junk = Buffer.from([1]);
/** An archive that packers store as it is: only its directory can be compressed. */
const dense = zipArchive([{ name: 'noise', content: randomBytes(200_000), method: 0 }]);
const junk8 = Buffer.alloc(8, 1);
const directoryBeforeTheTail = zipArchive(
  Array.from({ length: 3_000 }, (_, index) => ({ name: `${index}`, method: 0 as const })),
  { before: junk },
);

const paddedToSector = (more: number) =>
  archiveAfter(junk, { after: Buffer.alloc(512 - (archiveAfter(junk).length % 512) + more) });

/** A ZIP64 locator, then an end record whose counts, size and offset are the ZIP64 marker (APPNOTE.TXT 4.3.14 to 4.3.16). */
function zip64Archive(): Buffer {
  const end = Buffer.from(`PK\x05\x06${'\0'.repeat(4)}${'\xff'.repeat(12)}\0\0`, 'latin1');
  return Buffer.concat([junk, Buffer.alloc(500), Buffer.from(`PK\x06\x07${'\0'.repeat(16)}`, 'latin1'), end]);
}

describe('hasAppendedArchive', () => {
  it.each<[string, Buffer, string | null, boolean]>([
    ['an archive after one byte', archiveAfter(junk), null, true],
    ['an archive after text', archiveAfter('#!/bin/sh\nexit\n'), null, true],
    ['an archive after a program', archiveAfter('MZ\0\0'), 'application/x-msdownload', true],
    ['an archive after a gzip signature', archiveAfter('\x1f\x8b'), 'application/gzip', true],
    ['an archive with offsets from its own start', Buffer.concat([junk, zipArchive([words])]), null, true],
    ['an archive before more data', archiveAfter(junk, { after: 'x' }), null, true],
    ['an archive with the longest comment', archiveAfter(junk, { comment: 'c'.repeat(65_535) }), null, true],
    ['an archive with its directory before the tail', directoryBeforeTheTail, null, true],
    ['a ZIP64 archive', zip64Archive(), null, true],
    ['the last file of a tar', archiveAfter(junk, { after: '\0'.repeat(1024) }), 'application/x-tar', false],
    [
      'an archive in a tar with no end-of-archive blocks',
      archiveAfter(junk, { after: 'x' }),
      'application/x-tar',
      true,
    ],
    [
      'an archive in a tar that ends with other data',
      archiveAfter(junk, { after: 'x'.repeat(1024) }),
      'application/x-tar',
      true,
    ],
    ['an archive in a compound file of whole sectors', paddedToSector(0), 'application/x-cfb', false],
    ['an archive in a compound file of no whole sectors', paddedToSector(1), 'application/x-cfb', true],
    ['an archive at the very end of a tar', archiveAfter(junk), 'application/x-tar', true],
    ['an incompressible archive in gzip', gzipSync(dense), 'application/gzip', false],
    ['an archive after gzip data', Buffer.concat([gzipSync('x'), dense]), 'application/gzip', true],
    [
      'an archive after gzip data and before 8 bytes',
      Buffer.concat([gzipSync('x'), dense, junk8]),
      'application/gzip',
      true,
    ],
    [
      'an archive after gzip data, with a forged size in the trailer',
      Buffer.concat([gzipSync('x'), dense, junk8, gzipSync(dense).subarray(-4)]),
      'application/gzip',
      true,
    ],
    [
      'an incompressible archive in gzip before more data',
      Buffer.concat([gzipSync(dense), junk]),
      'application/gzip',
      true,
    ],
    ['an archive without entries', Buffer.concat([junk, zipArchive([])]), null, false],
    ['an end record without a directory', Buffer.from('xPK\x05\x06'.padEnd(500, 'x'), 'latin1'), null, false],
    [
      'an archive that ends before the tail',
      archiveAfter(junk, { after: Buffer.alloc(ARCHIVE_TAIL_BYTES) }),
      null,
      false,
    ],
    ['an empty file', Buffer.alloc(0), null, false],
  ])('classifies %s', (_, bytes, detected, answer) => {
    expect(hasAppendedArchive(bytes.subarray(-ARCHIVE_TAIL_BYTES), bytes.length, detected)).toBe(answer);
  });
});

describe('containers that hold an archive byte for byte', () => {
  it.each([
    ['a cabinet', 'vnd.ms-cab-compressed'],
    ['an Electron archive', 'x-asar'],
    ['a database', 'x-sqlite3'],
    ['a packet capture', 'vnd.tcpdump.pcap'],
    ['a mailbox', 'vnd.ms-outlook'],
  ])('ignores an archive in %s, except at its very end', (_, subtype) => {
    const inside = archiveAfter(junk, { after: 'data of the container' });
    expect(hasAppendedArchive(inside, inside.length, `application/${subtype}`)).toBe(false);
    expect(hasAppendedArchive(archiveAfter(junk), archiveAfter(junk).length, `application/${subtype}`)).toBe(
      true,
    );
  });

  const pack = (tool: string) => spawnSync(tool, ['-c'], { input: dense }).stdout as Buffer | null;
  const packers = ['gzip', 'zstd', 'xz', 'lz4'].filter((tool) => pack(tool) !== null);
  it.each(packers)('ignores an archive stored in the output of %s', async (tool) => {
    const packed = pack(tool)!;
    const detected = await detectType(packed.subarray(0, 65_536), packed.length);
    expect(packed.includes('PK\x05\x06', 0, 'latin1')).toBe(true);
    expect(hasAppendedArchive(packed, packed.length, null)).toBe(true);
    expect(hasAppendedArchive(packed.subarray(-ARCHIVE_TAIL_BYTES), packed.length, detected)).toBe(false);
  });
});
