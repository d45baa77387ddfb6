import { crc32 } from 'node:zlib';
import { type ArchivedFile, zipArchive } from '#libs/inspection/testing';
import { crcOfZeros, deflatedZeros } from './zeros.js';

const MIB = 2 ** 20;
const UNKNOWN = 0xffffffff;

/** An archived file of zeros, compressed to a thousandth of its size. */
function zeros(mebibytes: number, name = 'zeros'): ArchivedFile {
  const packed = deflatedZeros(mebibytes);
  const lies = { method: 8, bytes: mebibytes * MIB, crc: crcOfZeros(mebibytes) };
  return { name, content: packed, method: 0, lies };
}

/** An archive with one file that unpacks to this size. */
export const flatBomb = (mebibytes: number): Buffer => zipArchive([zeros(mebibytes)]);

/** Sixteen archives in each of `layers` layers, like 42.zip, around files of zeros. */
export function nestedBomb(layers: number, mebibytes: number): Buffer {
  let archive = flatBomb(mebibytes);
  for (let layer = 1; layer < layers; layer++) {
    archive = zipArchive(
      Array.from({ length: 16 }, (_, index) => ({ name: `${index}.zip`, content: archive })),
    );
  }
  return archive;
}

/** Content within `layers` nested archives. */
export function wrapped(content: Buffer, layers: number): Buffer {
  return layers === 0 ? content : wrapped(zipArchive([{ name: 'inside', content }]), layers - 1);
}

const LOCAL_BYTES = 30;

/**
 * Files that share their bytes: each one quotes the header of the next and continues with its data. Source: D. Fifield,
 * "A better zip bomb", https://www.bamsoftware.com/hacks/zipbomb/
 */
export function overlappingBomb(files: number, mebibytes: number): Buffer {
  const kernel = zeros(mebibytes, 'z'.padStart(4, '0'));
  let tail = zipArchive([kernel]);
  tail = tail.subarray(0, tail.indexOf('PK\x01\x02', 0, 'latin1'));
  let bytes = mebibytes * MIB;
  let packedBytes = tail.length - LOCAL_BYTES - 4;
  let quoted = Buffer.alloc(0);
  const entries = [{ name: kernel.name, fromEnd: tail.length, bytes, packedBytes, crc: kernel.lies!.crc! }];
  for (let index = 1; index < files; index++) {
    const header = tail.subarray(0, LOCAL_BYTES + 4);
    quoted = Buffer.concat([header, quoted]);
    const stored = Buffer.from([0, header.length, 0, 0xff - header.length, 0xff]);
    bytes += header.length;
    packedBytes += stored.length + header.length;
    const name = String(index).padStart(4, '0');
    const crc = crcOfZerosAfter(quoted, mebibytes);
    const lies = { method: 8, bytes, packedBytes, crc };
    const whole = zipArchive([{ name, content: Buffer.concat([stored, tail]), method: 0, lies }]);
    tail = whole.subarray(0, LOCAL_BYTES + name.length + stored.length + tail.length);
    entries.unshift({ name, fromEnd: tail.length, bytes, packedBytes, crc });
  }
  const listed = entries.map(({ name, fromEnd, ...rest }) => ({
    name,
    method: 0 as const,
    lies: { ...rest, method: 8, offset: tail.length - fromEnd },
  }));
  const directory = zipArchive(listed);
  const listing = directory.subarray(directory.indexOf('PK\x01\x02', 0, 'latin1'));
  listing.writeUInt32LE(tail.length, listing.length - 6);
  return Buffer.concat([tail, listing]);
}

const crcOfZerosAfter = (before: Buffer, mebibytes: number) => crcOfZeros(mebibytes, before);

/** An entry that refers to a ZIP64 extra field for its sizes, but has none. PKWARE APPNOTE.TXT 4.5.3 */
export const zip64WithoutField = (content: Buffer): Buffer =>
  zipArchive([{ name: 'inside', content, central: { packedBytes: UNKNOWN, bytes: UNKNOWN } }]);

/** An entry with its sizes in a ZIP64 extra field. PKWARE APPNOTE.TXT 4.5.3 */
export function zip64(content: Buffer): Buffer {
  const extra = Buffer.alloc(20);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(16, 2);
  extra.writeBigUInt64LE(BigInt(content.length), 4);
  extra.writeBigUInt64LE(BigInt(content.length), 12);
  const lies = { extra, packedBytes: UNKNOWN, bytes: UNKNOWN };
  return zipArchive([{ name: 'inside', content, method: 0, lies }]);
}

/** An entry encrypted with ZipCrypto. PKWARE APPNOTE.TXT 6.1 */
export function encrypted(content: Buffer, password: string): Buffer {
  const keys = [0x12345678, 0x23456789, 0x34567890];
  const step = (crc: number, byte: number) => ~crc32(Buffer.from([byte]), ~crc >>> 0) >>> 0;
  const update = (byte: number) => {
    keys[0] = step(keys[0]!, byte);
    keys[1] = (Math.imul((keys[1]! + (keys[0] & 0xff)) >>> 0, 134_775_813) + 1) >>> 0;
    keys[2] = step(keys[2]!, keys[1] >>> 24);
  };
  for (const byte of Buffer.from(password)) update(byte);
  const head = Buffer.alloc(12);
  head[11] = crc32(content) >>> 24;
  const bytes = Buffer.concat([head, content]).map((plain) => {
    const key = (keys[2]! | 2) & 0xffff;
    const cipher = plain ^ ((Math.imul(key, key ^ 1) >>> 8) & 0xff);
    update(plain);
    return cipher;
  });
  const lies = { flags: 1, crc: crc32(content), bytes: content.length };
  return zipArchive([{ name: 'inside', content: Buffer.from(bytes), method: 0, lies }]);
}
