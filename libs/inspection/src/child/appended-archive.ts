import { type End, endsAsArchive } from './zip-directory.js';

/** Why such a file is opaque. */
export const ARCHIVE_AS_WELL =
  'it can be unpacked as a ZIP archive as well, of which a scanner may see only a part';

type IsHeld = (end: End, tail: Buffer, sizeBytes: number) => boolean;

const GZIP_TRAILER_BYTES = 8;

/** The trailer says how large it is what was packed (RFC 1952): as large as the archive, which is all there is. */
const isPackedAlone: IsHeld = ({ position, directoryOffset, directoryBytes, after }, tail, sizeBytes) =>
  after === GZIP_TRAILER_BYTES &&
  tail.readUInt32LE(tail.length - 4) === directoryOffset + directoryBytes + (sizeBytes - after - position);

const isNotTheLast: IsHeld = ({ after }) => after !== 0;

const TAR_END_BYTES = 1024;
const isBeforeZeros: IsHeld = ({ after }, tail) =>
  after >= TAR_END_BYTES && tail.subarray(-TAR_END_BYTES).every((byte) => byte === 0);

const SECTOR_BYTES = 512;
const isInSectors: IsHeld = ({ after }, _, sizeBytes) => after !== 0 && sizeBytes % SECTOR_BYTES === 0;

/**
 * What holds files as they are, also by packing what cannot be packed, and has something of its own behind the last: that one is
 * an archive says nothing of the whole.
 */
const HOLDERS: readonly (readonly [types: RegExp, isHeld: IsHeld])[] = [
  [/^application\/gzip$/, isPackedAlone],
  [/^application\/(zstd|x-xz|x-lz4)$/, isNotTheLast],
  [
    /^application\/(x-(cpio|unix-archive|rar-compressed|7z-compressed|iso9660-image|asar)|vnd\.ms-cab-compressed)$/,
    isNotTheLast,
  ],
  [/^application\/x-tar$/, isBeforeZeros],
  [/^application\/x-cfb$/, isInSectors],
  [/^application\/(x-sqlite3|vnd\.ms-outlook|vnd\.tcpdump\.pcap)$/, isNotTheLast],
];

/** Whether unpackers would take a file for a ZIP archive by its last bytes, whatever it begins with. */
export function hasAppendedArchive(tail: Buffer, sizeBytes: number, detected: string | null): boolean {
  const [, isHeld] = HOLDERS.find(([types]) => types.test(detected ?? '')) ?? [];
  return endsAsArchive(tail, sizeBytes, (end) => isHeld?.(end, tail, sizeBytes) !== true);
}
