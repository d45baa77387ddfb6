import { constants, inflateRawSync } from 'node:zlib';
import { MEDIA, PROGRAMS } from '../../type-table.js';
import { hasAppendedArchive } from '../appended-archive.js';
import { type ByteSource, bufferSource, sourceSlice, InvalidArchiveError } from '../bounded-file.js';
import { detectType, HEAD_BYTES } from '../detect-type.js';
import { rethrowOutOfMemory } from '../exhaustion.js';
import {
  type AppendedArchive,
  ARCHIVE_TAIL_BYTES,
  END_SIGNATURE,
  readAppendedArchive,
  readDirectory,
  type ZipDirectory,
  type ZipEntry,
} from '../zip-directory.js';
import { isPolyglot } from './polyglot.js';

const MAX_TOTAL = 2 * 2 ** 30;
/** Thresholds of a decompression bomb: more than this many bytes, at more than this ratio. Deflate reaches 1032:1. */
const BOMB_TOTAL = 100 * 2 ** 20;
const BOMB_RATIO = 200;

/** Tells why the sizes of the entries are not acceptable; null if they are. `scannable` is the scanner's limit in bytes. */
function sizeObjection(entries: readonly ZipEntry[], sizeBytes: number, scannable: number): string | null {
  const total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  const isBomb = (unpacked: number, packed: number) =>
    unpacked > BOMB_TOTAL && unpacked > packed * BOMB_RATIO;
  if (total > MAX_TOTAL) return 'it unpacks to more than 2 GiB';
  if (entries.some(({ bytes }) => bytes > scannable)) return 'an entry is larger than the scan limit';
  if (isBomb(total, sizeBytes) || entries.some(({ bytes, packedBytes }) => isBomb(bytes, packedBytes))) {
    return 'it unpacks to far more than its own size';
  }
  return null;
}

const STORED = 0;
const DEFLATED = 8;
/** Deflated bytes read of an entry: enough for the Huffman tables before its first byte. */
const START_BYTES = 1024;
const SIGNATURES = ['PK\x03\x04', 'PK\x05\x06'];

/** Nested archives that are read, and their depth. */
const MAX_ARCHIVES = 10_000;
const MAX_DEPTH = 16;
/** Bytes unpacked for nested archives, in total and at one time. */
const MAX_UNPACKED_BYTES = 2 ** 30;
const MAX_HELD_BYTES = 256 * 2 ** 20;

interface Allowance {
  archives: number;
  unpacked: number;
  held: number;
}

/** Reads the first bytes of an entry. @throws InvalidArchiveError when empty blocks precede them */
function startOf(whole: ByteSource, { method, data, packedBytes, bytes }: ZipEntry): Buffer {
  const packed = whole.read(data, Math.min(packedBytes, START_BYTES));
  if (method === STORED) return packed;
  let start: Buffer;
  try {
    start = inflateRawSync(packed, { finishFlush: constants.Z_SYNC_FLUSH });
  } catch (error) {
    rethrowOutOfMemory(error);
    return Buffer.alloc(0);
  }
  if (start.length < Math.min(bytes, 4)) throw new InvalidArchiveError('an entry hides its first bytes');
  return start;
}

const isArchive = (start: Buffer) => SIGNATURES.includes(start.toString('latin1', 0, 4));

/** Reads a whole entry. @throws InvalidArchiveError when it is too large, or its content does not match its headers */
function contentOf(
  whole: ByteSource,
  { method, data, packedBytes, bytes }: ZipEntry,
  allowed: Allowance,
): ByteSource {
  if (method === STORED) return sourceSlice(whole, data, packedBytes);
  if (Math.max(bytes, packedBytes) > allowed.held || bytes > allowed.unpacked) {
    throw new InvalidArchiveError('a nested archive is too large to be inspected');
  }
  allowed.unpacked -= bytes;
  const packed = whole.read(data, packedBytes);
  try {
    return bufferSource(inflateRawSync(packed, { maxOutputLength: bytes }));
  } catch (error) {
    rethrowOutOfMemory(error);
    throw new InvalidArchiveError('a nested archive cannot be unpacked');
  }
}

type Found = Pick<AppendedArchive, 'archive' | 'directory'>;

/** Finds the archive behind a stored program. @throws InvalidArchiveError when another kind of file is also an archive */
async function archiveBehind(content: ByteSource): Promise<Found | null> {
  const { sizeBytes } = content;
  const tailBytes = Math.min(sizeBytes, ARCHIVE_TAIL_BYTES);
  const tail = content.read(sizeBytes - tailBytes, tailBytes);
  if (!tail.includes(END_SIGNATURE, 0, 'latin1')) return null;
  const detected = await detectType(content.read(0, Math.min(sizeBytes, HEAD_BYTES)), sizeBytes);
  if (detected !== null && PROGRAMS.test(detected)) return readAppendedArchive(content);
  const isArchiveToo =
    detected !== null && MEDIA.test(detected)
      ? isPolyglot(content, detected)
      : hasAppendedArchive(tail, sizeBytes, detected);
  if (isArchiveToo) throw new InvalidArchiveError('a file in it is also a ZIP archive');
  return null;
}

async function archiveIn(whole: ByteSource, entry: ZipEntry, allowed: Allowance): Promise<Found | null> {
  const isFirst = isArchive(startOf(whole, entry));
  // Finding the end of a deflated entry would require unpacking all of it.
  if (!isFirst && entry.method !== STORED) return null;
  const content = contentOf(whole, entry, allowed);
  return isFirst ? { archive: content, directory: readDirectory(content) } : archiveBehind(content);
}

/**
 * Tells why a scanner may miss content of nested archives; null if there is no reason. ClamAV silently skips in them the
 * structures that it skips in the outermost archive. Only stored and deflated entries are checked.
 * @param scannable - size in bytes of the largest entry that the scanner scans
 * @throws InvalidArchiveError when a nested archive cannot be read, because a scanner may miss its content as well
 */
export async function nestedObjection(
  whole: ByteSource,
  entries: readonly ZipEntry[],
  scannable: number,
  depth = 1,
  allowed: Allowance = { archives: MAX_ARCHIVES, unpacked: MAX_UNPACKED_BYTES, held: MAX_HELD_BYTES },
): Promise<string | null> {
  for (const entry of entries) {
    if (entry.method !== STORED && entry.method !== DEFLATED) continue;
    const found = entry.packedBytes === 0 ? null : await archiveIn(whole, entry, allowed);
    if (found === null) continue;
    if (allowed.archives-- === 0 || depth > MAX_DEPTH) return 'it has too many nested archives';
    const { archive, directory } = found;
    const held = entry.method === STORED ? 0 : entry.bytes;
    allowed.held -= held;
    const why = await objectionTo(directory, archive, scannable, depth + 1, allowed);
    allowed.held += held;
    if (why !== null) return why;
  }
  return null;
}

/**
 * Tells why a scanner may miss content of an archive, or of the archives nested in it; null if there is no reason.
 * @throws InvalidArchiveError when a nested archive cannot be read
 */
export async function objectionTo(
  { entries, objection }: ZipDirectory,
  archive: ByteSource,
  scannable: number,
  depth?: number,
  allowed?: Allowance,
): Promise<string | null> {
  return (
    objection ??
    sizeObjection(entries, archive.sizeBytes, scannable) ??
    (await nestedObjection(archive, entries, scannable, depth, allowed))
  );
}
