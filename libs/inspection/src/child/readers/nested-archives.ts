import { constants, inflateRawSync } from 'node:zlib';
import { MEDIA, PROGRAMS } from '../../inspected-types.js';
import { hasAppendedArchive } from '../appended-archive.js';
import { type Pieces, piecesOf, piecesWithin, InvalidArchiveError } from '../bounded-file.js';
import { detectType } from '../detect-type.js';
import { rethrowExhaustion } from '../exhaustion.js';
import {
  ARCHIVE_TAIL_BYTES,
  END_SIGNATURE,
  readAppended,
  readDirectory,
  type ZipDirectory,
  type ZipEntry,
} from '../zip-directory.js';
import { isPolyglot } from './polyglot.js';

const MAX_TOTAL = 2 * 2 ** 30;
/** Bombs: more than this, of next to nothing. Deflate reaches 1032:1. */
const BOMB_TOTAL = 100 * 2 ** 20;
const BOMB_RATIO = 200;

export function sizeObjection(
  entries: readonly ZipEntry[],
  sizeBytes: number,
  scannable: number,
): string | null {
  const total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  const isBomb = (unpacked: number, packed: number) =>
    unpacked > BOMB_TOTAL && unpacked > packed * BOMB_RATIO;
  if (total > MAX_TOTAL) return 'it unpacks to too much';
  if (entries.some(({ bytes }) => bytes > scannable)) return 'an entry is larger than what is scanned';
  if (isBomb(total, sizeBytes) || entries.some(({ bytes, packedBytes }) => isBomb(bytes, packedBytes))) {
    return 'it unpacks to far more than it is';
  }
  return null;
}

const STORED = 0;
const DEFLATED = 8;
/** Of an entry's deflated bytes: enough for the tables that come before the first of its own. */
const START_BYTES = 1024;
/** Of an entry as it is: what its type is found in. */
const HEAD_BYTES = 65_536;
const SIGNATURES = ['PK\x03\x04', 'PK\x05\x06'];

/** Archives in archives that are looked into, and how deep. */
const MAX_ARCHIVES = 10_000;
const MAX_DEPTH = 16;
/** Unpacked for it, all together, and at one time. */
const MAX_UNPACKED_BYTES = 2 ** 30;
const MAX_HELD_BYTES = 256 * 2 ** 20;

interface Allowance {
  archives: number;
  unpacked: number;
  held: number;
}

/** The first bytes of an entry. @throws InvalidArchiveError when they are hidden behind blocks of nothing */
function startOf(whole: Pieces, { method, data, packedBytes, bytes }: ZipEntry): Buffer {
  const packed = whole.read(data, Math.min(packedBytes, START_BYTES));
  if (method === STORED) return packed;
  let start: Buffer;
  try {
    start = inflateRawSync(packed, { finishFlush: constants.Z_SYNC_FLUSH });
  } catch (error) {
    rethrowExhaustion(error);
    return Buffer.alloc(0);
  }
  if (start.length < Math.min(bytes, 4)) throw new InvalidArchiveError('an entry hides how it begins');
  return start;
}

const isArchive = (start: Buffer) => SIGNATURES.includes(start.toString('latin1', 0, 4));

/** All of an entry. @throws InvalidArchiveError when it is too large, or not what it says */
function contentOf(
  whole: Pieces,
  { method, data, packedBytes, bytes }: ZipEntry,
  allowed: Allowance,
): Pieces {
  if (method === STORED) return piecesWithin(whole, data, packedBytes);
  if (Math.max(bytes, packedBytes) > allowed.held || bytes > allowed.unpacked) {
    throw new InvalidArchiveError('an archive in it is too large to be looked into');
  }
  allowed.unpacked -= bytes;
  const packed = whole.read(data, packedBytes);
  try {
    return piecesOf(inflateRawSync(packed, { maxOutputLength: bytes }));
  } catch (error) {
    rethrowExhaustion(error);
    throw new InvalidArchiveError('an archive in it cannot be unpacked');
  }
}

interface Found {
  readonly archive: Pieces;
  readonly directory: ZipDirectory;
}

/** The archive behind a program that is stored as it is. @throws InvalidArchiveError when something else is an archive as well */
async function archiveBehind(content: Pieces): Promise<Found | null> {
  const { sizeBytes } = content;
  const tailBytes = Math.min(sizeBytes, ARCHIVE_TAIL_BYTES);
  const tail = content.read(sizeBytes - tailBytes, tailBytes);
  if (!tail.includes(END_SIGNATURE, 0, 'latin1')) return null;
  const detected = await detectType(content.read(0, Math.min(sizeBytes, HEAD_BYTES)));
  if (detected !== null && PROGRAMS.test(detected)) return readAppended(content);
  const isArchiveToo =
    detected !== null && MEDIA.test(detected)
      ? isPolyglot(content, detected)
      : hasAppendedArchive(tail, sizeBytes, detected);
  if (isArchiveToo) throw new InvalidArchiveError('a file in it can be unpacked as a ZIP archive as well');
  return null;
}

async function archiveIn(whole: Pieces, entry: ZipEntry, allowed: Allowance): Promise<Found | null> {
  const isFirst = isArchive(startOf(whole, entry));
  // To see the end of what is deflated, all of it would have to be unpacked.
  if (!isFirst && entry.method !== STORED) return null;
  const content = contentOf(whole, entry, allowed);
  return isFirst ? { archive: content, directory: readDirectory(content) } : archiveBehind(content);
}

/**
 * Why a scanner cannot have seen all of the archives in an archive; null when nothing speaks against that. ClamAV passes over in
 * silence in them what it passes over in the outermost one. Other methods than deflate are unpacked by nobody here.
 * @throws InvalidArchiveError likewise, when one of them cannot be read
 */
export async function nestedObjection(
  whole: Pieces,
  entries: readonly ZipEntry[],
  scannable: number,
  depth = 1,
  allowed: Allowance = { archives: MAX_ARCHIVES, unpacked: MAX_UNPACKED_BYTES, held: MAX_HELD_BYTES },
): Promise<string | null> {
  for (const entry of entries) {
    if (entry.method !== STORED && entry.method !== DEFLATED) continue;
    const found = entry.packedBytes === 0 ? null : await archiveIn(whole, entry, allowed);
    if (found === null) continue;
    if (allowed.archives-- === 0 || depth > MAX_DEPTH) return 'it has too many archives in it';
    const { archive, directory } = found;
    const held = entry.method === STORED ? 0 : entry.bytes;
    allowed.held -= held;
    const why =
      directory.objection ??
      sizeObjection(directory.entries, archive.sizeBytes, scannable) ??
      (await nestedObjection(archive, directory.entries, scannable, depth + 1, allowed));
    allowed.held += held;
    if (why !== null) return why;
  }
  return null;
}
