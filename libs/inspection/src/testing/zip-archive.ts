import { crc32, deflateRawSync } from 'node:zlib';

/** Header values that replace the correct ones. */
interface HeaderValues {
  readonly name?: string;
  readonly flags?: number;
  readonly method?: number;
  readonly crc?: number;
  readonly packedBytes?: number;
  readonly bytes?: number;
  readonly offset?: number;
  readonly extra?: Buffer;
}

export interface ArchivedFile {
  readonly name: string;
  readonly content?: Buffer | string;
  readonly method?: 0 | 8;
  /** Wrong values in both headers of the entry. */
  readonly lies?: HeaderValues;
  /** Wrong values in the local header only. */
  readonly local?: HeaderValues;
  /** Wrong values in the central directory only. */
  readonly central?: HeaderValues;
}

/** Wrong values in the end record, and bytes around the parts of the archive. */
export interface ArchiveOverrides {
  readonly before?: Buffer | string;
  /** Between the entries and the central directory. */
  readonly between?: Buffer;
  readonly after?: Buffer | string;
  readonly comment?: string;
  readonly entries?: number;
  readonly disk?: number;
  readonly directoryOffset?: number;
}

function header(signature: string, size: number, flagsAt: number, fields: Required<HeaderValues>): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.write(signature, 'latin1');
  bytes.writeUInt16LE(20, flagsAt - 2);
  bytes.writeUInt16LE(fields.flags, flagsAt);
  bytes.writeUInt16LE(fields.method, flagsAt + 2);
  bytes.writeUInt32LE(fields.crc, flagsAt + 8);
  bytes.writeUInt32LE(fields.packedBytes, flagsAt + 12);
  bytes.writeUInt32LE(fields.bytes, flagsAt + 16);
  bytes.writeUInt16LE(Buffer.byteLength(fields.name), flagsAt + 20);
  bytes.writeUInt16LE(fields.extra.length, flagsAt + 22);
  return bytes;
}

/** Builds a ZIP archive, optionally malformed, for tests. */
export function zipArchive(files: readonly ArchivedFile[], lies: ArchiveOverrides = {}): Buffer {
  const pieces: Buffer[] = [Buffer.from(lies.before ?? '')];
  const directory: Buffer[] = [];
  const written = () => pieces.reduce((sum, { length }) => sum + length, 0);
  let offset = written();
  for (const { name, content = '', method = 8, ...given } of files) {
    const plain = Buffer.from(content);
    const packed = method === 8 ? deflateRawSync(plain) : plain;
    const values: Required<HeaderValues> = {
      ...{ name, flags: 0, method, crc: crc32(plain), extra: Buffer.alloc(0) },
      ...{ packedBytes: packed.length, bytes: plain.length, offset },
      ...given.lies,
    };
    const own = { ...values, ...given.local };
    const local = header('PK\x03\x04', 30, 6, own);
    const piece = Buffer.concat([local, Buffer.from(own.name), own.extra, packed]);
    pieces.push(piece);
    offset += piece.length;
    const listed = { ...values, ...given.central };
    const central = header('PK\x01\x02', 46, 8, listed);
    central.writeUInt32LE(listed.offset, 42);
    directory.push(central, Buffer.from(listed.name), listed.extra);
  }
  if (lies.between !== undefined) pieces.push(lies.between);
  const directoryOffset = written();
  const listing = Buffer.concat(directory);
  const comment = Buffer.from(lies.comment ?? '');
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(lies.disk ?? 0, 4);
  const entries = lies.entries ?? files.length;
  end.writeUInt16LE(entries, 8);
  end.writeUInt16LE(entries, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(lies.directoryOffset ?? directoryOffset, 16);
  end.writeUInt16LE(comment.length, 20);
  return Buffer.concat([...pieces, listing, end, comment, Buffer.from(lies.after ?? '')]);
}

const CONTENT_TYPES = '[Content_Types].xml';

/** Builds the parts that determine the type of an Office document, for tests; `mainType` is that of its main part. */
export const officeParts = (mainType: string, ...otherTypes: readonly string[]): ArchivedFile[] => [
  {
    name: CONTENT_TYPES,
    content: `<?xml version="1.0"?><Types>${[mainType, ...otherTypes]
      .map((type, index) => `<Override PartName="/part${index}" ContentType="${type}"/>`)
      .join('')}</Types>`,
  },
  { name: 'word/document.xml', content: '<document/>' },
];
