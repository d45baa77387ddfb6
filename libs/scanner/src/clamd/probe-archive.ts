import { randomBytes } from 'node:crypto';
import { crc32, deflateRawSync } from 'node:zlib';

const NAME = Buffer.from('probe');
const VERSION_NEEDED = 20;
const ENCRYPTED = 1;
const DEFLATED = 8;
/** 1 January 1980, the earliest date of the format. */
const DATE = 0x21;

/** Builds a ZIP file with one compressed entry (PKWARE APPNOTE.TXT 4.3.7, 4.3.12, 4.3.16). */
function archiveOf(content: Buffer, flags = 0): Buffer {
  const bytes = deflateRawSync(content);
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(VERSION_NEEDED, 4);
  local.writeUInt16LE(flags, 6);
  local.writeUInt16LE(DEFLATED, 8);
  local.writeUInt16LE(DATE, 12);
  local.writeUInt32LE(crc32(content), 14);
  local.writeUInt32LE(bytes.length, 18);
  local.writeUInt32LE(content.length, 22);
  local.writeUInt16LE(NAME.length, 26);
  const central = Buffer.alloc(46);
  central.writeUInt32LE(0x02014b50, 0);
  central.writeUInt16LE(VERSION_NEEDED, 4);
  local.copy(central, 6, 4);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length + NAME.length, 12);
  end.writeUInt32LE(local.length + NAME.length + bytes.length, 16);
  return Buffer.concat([local, NAME, bytes, central, NAME, end]);
}

/** Builds `depth` nested ZIP files around random bytes. */
export function nestedArchive(depth: number): Buffer {
  let content: Buffer = randomBytes(16);
  for (let level = 0; level < depth; level++) content = archiveOf(content);
  return content;
}

/** Builds a ZIP file whose entry is flagged as encrypted, which is all that clamd looks at. */
export const encryptedArchive = (): Buffer => archiveOf(randomBytes(28), ENCRYPTED);
