import { type ByteSource, bufferSource, sourceSlice, InvalidArchiveError } from './bounded-file.js';
import { ENCRYPTED } from './encryption.js';

/*
 * PKWARE's APPNOTE.TXT 6.3.10: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT. Readers start at the end of
 * an archive: the end record (4.3.16) holds the offset of the central directory (4.3.12), and the directory holds the
 * offset of each entry's local header (4.3.7).
 */
export const END_SIGNATURE = 'PK\x05\x06';
const END_BYTES = 22;
const MAX_COMMENT = 0xffff;
const ENTRY_SIGNATURE = 0x02014b50;
const ENTRY_BYTES = 46;
const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_BYTES = 30;
const ZIP64_LOCATOR_SIGNATURE = 0x07064b50;
const ZIP64_LOCATOR_BYTES = 20;
/** Bytes at the end of a file to search for an end record: a ZIP64 locator, the record and the longest comment. */
export const ARCHIVE_TAIL_BYTES = ZIP64_LOCATOR_BYTES + END_BYTES + MAX_COMMENT;
const ZIP64_EXTRA = 0x0001;
/** The uncompressed size, then the compressed size, 8 bytes each. */
const ZIP64_SIZES_BYTES = 16;
/** A 32-bit size with this value refers to the ZIP64 field. */
const IN_ZIP64 = 0xffffffff;
const AES_EXTRA = 0x9901;

const ENCRYPTED_FLAGS = 0x2041;
const DATA_DESCRIPTOR_FLAG = 0x0008;
const STORED = 0;
/** Stored, imploded, deflated, deflate64, bzip2: the methods that ClamAV unpacks. */
const KNOWN_METHODS: readonly number[] = [STORED, 6, 8, 9, 12];

const MAX_ENTRIES = 10_000;

const WITH_ZIP64 = 'it has ZIP64 fields';

export interface ZipEntry {
  /** The name's bytes as Latin-1, so that two names are equal exactly when their bytes are. */
  readonly name: string;
  readonly method: number;
  readonly packedBytes: number;
  readonly bytes: number;
  /** Offset of the local header. */
  readonly offset: number;
  /** Offset of the data; set by {@link checkEntries}. */
  data: number;
}

export interface ZipDirectory {
  readonly entries: readonly ZipEntry[];
  /** Why two readers may see different entries, or why a scanner reads none; null when neither is the case. */
  readonly objection: string | null;
}

export interface End {
  readonly position: number;
  /** Whether the archive has other parts, which are files of their own. */
  readonly isPart: boolean;
  readonly entries: number;
  readonly directoryBytes: number;
  readonly directoryOffset: number;
  /** Bytes after the end record and its comment; negative when the comment is cut off. */
  readonly after: number;
}

/** All candidates for an end record in the last 64 KiB, the last one first. */
export function findEndRecords(file: ByteSource): End[] {
  const start = Math.max(0, file.sizeBytes - END_BYTES - MAX_COMMENT);
  const tail = file.read(start, file.sizeBytes - start);
  const ends: End[] = [];
  const signature = Buffer.from(END_SIGNATURE, 'latin1');
  for (
    let at = tail.lastIndexOf(signature);
    at >= 0;
    at = at === 0 ? -1 : tail.lastIndexOf(signature, at - 1)
  ) {
    if (at + END_BYTES > tail.length) continue;
    const field = (offset: number) => tail.readUInt16LE(at + offset);
    ends.push({
      position: start + at,
      isPart: field(4) !== 0 || field(6) !== 0 || field(8) !== field(10),
      entries: field(10),
      directoryBytes: tail.readUInt32LE(at + 12),
      directoryOffset: tail.readUInt32LE(at + 16),
      after: tail.length - at - END_BYTES - field(20),
    });
  }
  return ends;
}

const startsWith = (file: ByteSource, offset: number, signature: number) =>
  offset >= 0 && offset + 4 <= file.sizeBytes && file.read(offset, 4).readUInt32LE() === signature;

const isZip64 = (file: ByteSource, { position }: End) =>
  startsWith(file, position - ZIP64_LOCATOR_BYTES, ZIP64_LOCATOR_SIGNATURE);

/**
 * Whether a directory with an entry is at the offset in the end record or directly before the end record; unpackers
 * accept both. An archive with a ZIP64 locator is assumed to have one.
 */
export const hasDirectory = (file: ByteSource, end: End) =>
  isZip64(file, end) ||
  (end.directoryBytes >= ENTRY_BYTES &&
    [end.directoryOffset, end.position - end.directoryBytes].some((offset) =>
      startsWith(file, offset, ENTRY_SIGNATURE),
    ));

/** Extra fields by id. An incomplete field at the end is padding. */
function extraFields(extra: Buffer): ReadonlyMap<number, Buffer> {
  const fields = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    const id = extra.readUInt16LE(at);
    // A duplicate field counts as empty, because readers may use either one.
    const field = extra.subarray(at + 4, at + 4 + extra.readUInt16LE(at + 2));
    fields.set(id, fields.has(id) ? Buffer.alloc(0) : field);
  }
  return fields;
}

type Sizes = Pick<ZipEntry, 'bytes' | 'packedBytes'>;

/**
 * Whether an entry has no ZIP64 field (4.5.3), or one without effect: writers that do not know the sizes in advance
 * reserve the field, and leave it zero or repeat the 32-bit sizes. Readers with and without ZIP64 support then see the
 * same entry. ClamAV 1.4.6 reads it too (measured), but skips entries whose sizes are only in the field.
 */
function isWithoutZip64(fields: ReadonlyMap<number, Buffer>, { bytes, packedBytes }: Sizes): boolean {
  const field = fields.get(ZIP64_EXTRA);
  if (field === undefined) return true;
  if (field.length !== ZIP64_SIZES_BYTES || Math.max(bytes, packedBytes) >= IN_ZIP64) return false;
  const values = [field.readBigUInt64LE(0), field.readBigUInt64LE(8)];
  return (
    values.every((value) => value === 0n) ||
    (values[0] === BigInt(bytes) && values[1] === BigInt(packedBytes))
  );
}

/** Keeps the first problem found. */
class Objections {
  first: string | null = null;

  add(isWrong: boolean, reason: string): void {
    if (isWrong) this.first ??= reason;
  }
}

/**
 * Whether the last bytes of a file can be the end of an archive. A directory before `tail` is assumed to exist.
 * @param tail the last `ARCHIVE_TAIL_BYTES` of the file, or all of a shorter file
 * @param isCandidate whether an end record may belong to the file itself, not to a file that it contains
 */
export function endsAsArchive(tail: Buffer, sizeBytes: number, isCandidate: (end: End) => boolean): boolean {
  const start = sizeBytes - tail.length;
  const known = bufferSource(tail);
  const entry = Buffer.alloc(4);
  entry.writeUInt32LE(ENTRY_SIGNATURE);
  const file: ByteSource = {
    sizeBytes,
    read: (offset, length) => (offset < start ? entry : known.read(offset - start, length)),
  };
  return findEndRecords(file).some((end) => isCandidate(end) && hasDirectory(file, end));
}

function findDirectory(file: ByteSource, isAppended: boolean, objections: Objections): End {
  const ends = findEndRecords(file);
  const end = ends.find(({ after }) => after === 0) ?? ends[0];
  if (end === undefined) throw new InvalidArchiveError('it has no directory');
  objections.add(!isAppended && end.after > 0, 'something follows the archive');
  objections.add(end.after < 0, 'its end is cut off');
  const { position, directoryBytes, directoryOffset } = end;
  const isLarge = end.entries === 0xffff || directoryBytes === 0xffffffff || directoryOffset === 0xffffffff;
  objections.add(isLarge || isZip64(file, end), WITH_ZIP64);
  objections.add(end.isPart, 'it is one part of several');
  objections.add(directoryOffset + directoryBytes !== position, 'its directory does not end where it should');
  const others = ends.filter(
    (other) =>
      other !== end &&
      other.directoryOffset + other.directoryBytes === other.position &&
      hasDirectory(file, other),
  );
  objections.add(others.length > 0, 'it has two directories');
  if (end.entries > MAX_ENTRIES) throw new InvalidArchiveError(`it has more than ${MAX_ENTRIES} entries`);
  return end;
}

interface CentralEntry extends ZipEntry {
  readonly flags: number;
  readonly crc: number;
}

function readEntries(file: ByteSource, end: End, objections: Objections): CentralEntry[] {
  const directory = file.read(end.directoryOffset, end.directoryBytes);
  const entries: CentralEntry[] = [];
  let at = 0;
  for (let index = 0; index < end.entries; index++) {
    if (at + ENTRY_BYTES > directory.length || directory.readUInt32LE(at) !== ENTRY_SIGNATURE) {
      throw new InvalidArchiveError('its directory is broken');
    }
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((offset) =>
      directory.readUInt16LE(at + offset),
    );
    const nameAt = at + ENTRY_BYTES;
    const extraAt = nameAt + nameBytes!;
    const next = extraAt + extraBytes! + commentBytes!;
    if (next > directory.length) throw new InvalidArchiveError('its directory is broken');
    const flags = directory.readUInt16LE(at + 8);
    const method = directory.readUInt16LE(at + 10);
    const extras = extraFields(directory.subarray(extraAt, extraAt + extraBytes!));
    const packedBytes = directory.readUInt32LE(at + 20);
    const bytes = directory.readUInt32LE(at + 24);
    const offset = directory.readUInt32LE(at + 42);
    objections.add((flags & ENCRYPTED_FLAGS) !== 0 || extras.has(AES_EXTRA), ENCRYPTED);
    objections.add(!isWithoutZip64(extras, { bytes, packedBytes }), WITH_ZIP64);
    objections.add(!KNOWN_METHODS.includes(method), `it is compressed by method ${method}`);
    objections.add(method === STORED && packedBytes !== bytes, 'two sizes of one entry disagree');
    objections.add(directory.readUInt16LE(at + 34) !== 0, 'it is one part of several');
    const name = directory.toString('latin1', nameAt, extraAt);
    const crc = directory.readUInt32LE(at + 16);
    entries.push({ name, flags, method, crc, packedBytes, bytes, offset, data: 0 });
    at = next;
  }
  objections.add(at !== directory.length, 'its directory has more entries than it says');
  objections.add(new Set(entries.map(({ name }) => name)).size < entries.length, 'two entries have one name');
  return entries;
}

/** Compares each entry of the directory with its local header, because some readers use only the local headers. */
function checkEntries(
  file: ByteSource,
  entries: readonly CentralEntry[],
  end: End,
  isAppended: boolean,
  objections: Objections,
): void {
  let last = 0;
  for (const entry of entries.toSorted((a, b) => a.offset - b.offset)) {
    objections.add(!isAppended && last === 0 && entry.offset !== 0, 'something precedes its first entry');
    objections.add(entry.offset < last, 'two entries overlap');
    const header = file.read(entry.offset, LOCAL_BYTES + entry.name.length);
    if (header.readUInt32LE() !== LOCAL_SIGNATURE)
      throw new InvalidArchiveError('an entry is not where it should be');
    const flags = header.readUInt16LE(6);
    const extraBytes = header.readUInt16LE(28);
    const extraAt = entry.offset + LOCAL_BYTES + entry.name.length;
    const fields = [14, 18, 22].map((offset) => header.readUInt32LE(offset));
    const declared = [entry.crc, entry.packedBytes, entry.bytes];
    const hasDataDescriptor = (flags & DATA_DESCRIPTOR_FLAG) !== 0;
    const extras = extraFields(file.read(extraAt, extraBytes));
    // With a data descriptor, the sizes may refer to a ZIP64 field that does not hold them either.
    const isInField = (value: number) => value === IN_ZIP64 && extras.has(ZIP64_EXTRA);
    const agrees =
      header.readUInt16LE(26) === entry.name.length &&
      header.toString('latin1', LOCAL_BYTES) === entry.name &&
      header.readUInt16LE(8) === entry.method &&
      (flags & ENCRYPTED_FLAGS) === (entry.flags & ENCRYPTED_FLAGS) &&
      fields.every(
        (value, index) =>
          value === declared[index] ||
          (hasDataDescriptor && (value === 0 || (index > 0 && isInField(value)))),
      );
    objections.add(!isWithoutZip64(extras, entry), WITH_ZIP64);
    objections.add(isAppended && hasDataDescriptor, 'the size of an entry follows it');
    objections.add(!agrees, 'an entry and the directory disagree');
    entry.data = extraAt + extraBytes;
    last = entry.data + entry.packedBytes;
  }
  objections.add(last > end.directoryOffset, 'an entry reaches into the directory');
}

/**
 * Reads the entries of an archive and checks whether all readers would see the same ones; if not, `objection` says why.
 * @param isAppended allows other data before and after the archive, but no data descriptors: a scanner finds an
 *   appended archive by its local headers alone, which must therefore hold the sizes
 * @throws InvalidArchiveError when the entries cannot be determined
 */
export function readDirectory(file: ByteSource, isAppended = false): ZipDirectory {
  const objections = new Objections();
  const end = findDirectory(file, isAppended, objections);
  const entries = readEntries(file, end, objections);
  checkEntries(file, entries, end, isAppended, objections);
  return { entries, objection: objections.first };
}

export interface AppendedArchive {
  /** Offset in the file that the offsets in the archive count from. */
  readonly start: number;
  readonly archive: ByteSource;
  readonly directory: ZipDirectory;
}

/**
 * Reads the archive at the end of a file; null when there is none. Its offsets count from its own start or from the
 * start of the file.
 * @throws InvalidArchiveError when the entries cannot be determined, or some readers would use another directory
 */
export function readAppendedArchive(file: ByteSource): AppendedArchive | null {
  const [last, ...others] = findEndRecords(file).filter((end) => hasDirectory(file, end));
  if (last === undefined) return null;
  const start = Math.max(0, last.position - last.directoryBytes - last.directoryOffset);
  const archive = sourceSlice(file, start, file.sizeBytes - start);
  const directory = readDirectory(archive, true);
  // End records after the first entry belong to archives inside this one.
  const first = start + Math.min(...directory.entries.map(({ offset }) => offset));
  if (others.some(({ position }) => position < first))
    throw new InvalidArchiveError('it has two directories');
  return { start, archive, directory };
}
