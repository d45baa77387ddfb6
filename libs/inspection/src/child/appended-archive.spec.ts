import { describe, expect, it } from '@jest/globals';
import { type ArchivedFile, type ArchiveLies, zipArchive } from '../testing/index.js';
import { hasAppendedArchive } from './appended-archive.js';
import { ARCHIVE_TAIL_BYTES } from './zip-directory.js';

const words: ArchivedFile = { name: 'words', content: 'Harmless words' };
const behind = (before: Buffer | string, lies: ArchiveLies = {}) => zipArchive([words], { before, ...lies });
const junk = Buffer.from([1]);
const directoryBeforeTheTail = zipArchive(
  Array.from({ length: 3_000 }, (_, index) => ({ name: `${index}`, method: 0 as const })),
  { before: junk },
);

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
    ['one that a container ends with', behind(junk), 'application/x-tar', true],
    ['an empty one', Buffer.concat([junk, zipArchive([])]), null, false],
    ['a signature that leads nowhere', Buffer.from('xPK\x05\x06'.padEnd(500, 'x'), 'latin1'), null, false],
    ['one that ends too early', behind(junk, { after: Buffer.alloc(ARCHIVE_TAIL_BYTES) }), null, false],
    ['nothing', Buffer.alloc(0), null, false],
  ])('%s', (_, bytes, detected, answer) => {
    expect(hasAppendedArchive(bytes.subarray(-ARCHIVE_TAIL_BYTES), bytes.length, detected)).toBe(answer);
  });
});
