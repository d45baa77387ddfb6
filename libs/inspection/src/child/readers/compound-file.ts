import { BoundedFile, type ByteSource, InvalidArchiveError } from '../bounded-file.js';
import { ENCRYPTED } from '../encryption.js';
import type { Finding, Reader } from '../reader.js';
import { read as readEnd } from './appended.js';

/*
 * [MS-CFB] https://learn.microsoft.com/openspecs/windows_protocols/ms-cfb: a file system in a file, whose directory is a
 * chain of sectors. Office stores an encrypted document of its newer formats in one ([MS-OFFCRYPTO] 2.3). Documents of its
 * older formats are compound files with streams.
 */
const SIGNATURE = Buffer.from('d0cf11e0a1b11ae1', 'hex');
const HEADER_BYTES = 512;
const ENTRY_BYTES = 128;
const SECTORS_IN_HEADER = 109;
/** Greater numbers are markers, not sectors. */
const MAX_SECTOR = 0xfffffffa;
const STREAM = 2;
const ROOT = 5;

/** Bytes read of one file: its directory, the tables that lead to it, and the start of a few streams. */
const MAX_READ = 4 * 2 ** 20;
const MAX_SECTORS = 2048;

interface Entry {
  readonly name: string;
  readonly type: number;
  readonly sector: number;
  readonly bytes: number;
}

class CompoundFile {
  private readonly header: Buffer;
  private readonly sectorBytes: number;
  readonly entries: readonly Entry[];

  /** @throws InvalidArchiveError when the file is not a compound file, or its parts are not where they should be */
  constructor(private readonly file: ByteSource) {
    this.header = file.read(0, HEADER_BYTES);
    const shift = this.header.readUInt16LE(30);
    if (!this.header.subarray(0, 8).equals(SIGNATURE) || (shift !== 9 && shift !== 12)) {
      throw new InvalidArchiveError('it is not a compound file');
    }
    this.sectorBytes = 2 ** shift;
    this.entries = this.chain(this.header.readUInt32LE(48)).flatMap((sector) => this.entriesIn(sector));
  }

  /** Reads the first bytes of a stream; fewer where the stream ends or its next sector is elsewhere. */
  startOf({ sector, bytes }: Entry, most: number): Buffer {
    const length = Math.min(bytes, most);
    if (bytes >= this.header.readUInt32LE(56)) {
      const at = this.offsetOf(sector);
      return this.file.read(at, Math.min(length, this.sectorBytes, this.file.sizeBytes - at));
    }
    // Small streams share the stream of the root entry, in units of 64 bytes.
    const [unitBytes, root] = [
      2 ** this.header.readUInt16LE(32),
      this.entries.find(({ type }) => type === ROOT),
    ];
    const at = sector * unitBytes;
    const within = root && this.chain(root.sector)[Math.floor(at / this.sectorBytes)];
    if (within === undefined) return Buffer.alloc(0);
    return this.file.read(this.offsetOf(within) + (at % this.sectorBytes), Math.min(length, unitBytes));
  }

  private offsetOf(sector: number): number {
    return (sector + 1) * this.sectorBytes;
  }

  private entriesIn(sector: number): Entry[] {
    const at = this.offsetOf(sector);
    const bytes = this.file.read(at, Math.min(this.sectorBytes, this.file.sizeBytes - at));
    return Array.from({ length: Math.floor(bytes.length / ENTRY_BYTES) }, (_, index) => {
      const entry = bytes.subarray(index * ENTRY_BYTES, (index + 1) * ENTRY_BYTES);
      const nameBytes = Math.max(0, Math.min(64, entry.readUInt16LE(64)) - 2);
      return {
        name: entry.toString('utf16le', 0, nameBytes),
        type: entry[66]!,
        sector: entry.readUInt32LE(116),
        bytes: entry.readUInt32LE(120),
      };
    });
  }

  /** Returns the sectors of a stream in order, up to the limit. */
  private chain(first: number): number[] {
    const sectors: number[] = [];
    for (let sector = first; sector < MAX_SECTOR && sectors.length < MAX_SECTORS;) {
      sectors.push(sector);
      sector = this.following(sector);
    }
    return sectors;
  }

  private following(sector: number): number {
    if (this.offsetOf(sector) >= this.file.sizeBytes)
      throw new InvalidArchiveError('it points out of the file');
    const perSector = this.sectorBytes / 4;
    const table = this.tableSector(Math.floor(sector / perSector));
    return this.file.read(this.offsetOf(table) + 4 * (sector % perSector), 4).readUInt32LE();
  }

  /** Finds a sector of the allocation table. The header lists the first ones, then each list sector points to the next. */
  private tableSector(index: number): number {
    if (index < SECTORS_IN_HEADER) return this.header.readUInt32LE(76 + 4 * index);
    const perSector = this.sectorBytes / 4 - 1;
    let [list, rest] = [this.header.readUInt32LE(68), index - SECTORS_IN_HEADER];
    for (; rest >= perSector; rest -= perSector) {
      list = this.file.read(this.offsetOf(list) + 4 * perSector, 4).readUInt32LE();
    }
    return this.file.read(this.offsetOf(list) + 4 * rest, 4).readUInt32LE();
  }
}

/** [MS-DOC] 2.5.2: the flag fEncrypted. */
const isEncryptedWord = (start: Buffer) => start.length >= 12 && (start.readUInt16LE(10) & 0x0100) !== 0;

const FILE_PASS = 0x002f;
const RECORDS_BYTES = 512;
/** [MS-XLS] 2.4.117: the FilePass record follows soon after the first record. */
function isEncryptedExcel(start: Buffer): boolean {
  for (let at = 0; at + 4 <= start.length; at += 4 + start.readUInt16LE(at + 2)) {
    if (start.readUInt16LE(at) === FILE_PASS) return true;
  }
  return false;
}

/** [MS-PPT] 2.3.2: the header token of an encrypted document. */
const isEncryptedPowerPoint = (start: Buffer) => start.length >= 16 && start.readUInt32LE(12) === 0xf3d1c4df;

const ENCRYPTION_CHECKS: Readonly<Record<string, (start: Buffer) => boolean>> = {
  worddocument: isEncryptedWord,
  workbook: isEncryptedExcel,
  book: isEncryptedExcel,
  'current user': isEncryptedPowerPoint,
};

/** In lower case, because stream names are case-insensitive. */
const PACKAGE = 'encryptedpackage';

function encryptionOf(file: ByteSource): Finding {
  const compound = new CompoundFile(file);
  const streams = compound.entries.filter(({ type }) => type === STREAM);
  if (streams.some(({ name }) => name.toLowerCase() === PACKAGE)) {
    return { detected: 'application/x-tika-ooxml-protected', opaque: ENCRYPTED };
  }
  const isEncrypted = streams.some((stream) =>
    ENCRYPTION_CHECKS[stream.name.toLowerCase()]?.(compound.startOf(stream, RECORDS_BYTES)),
  );
  return isEncrypted ? { opaque: ENCRYPTED } : {};
}

/**
 * Reads compound files: reports one with an encrypted document, which a scanner cannot see, as opaque. An unreadable one
 * is not reported, because old programs and recovered files produce many of them. Also checks the end of the file for an
 * archive.
 */
export const read: Reader = async (request, limits) => {
  const end = await readEnd(request, limits);
  using file = new BoundedFile(request.path, request.sizeBytes, MAX_READ);
  try {
    return { ...end, ...encryptionOf(file) };
  } catch (error) {
    if (!(error instanceof InvalidArchiveError)) throw error;
    return end;
  }
};
