import { type End, endsAsArchive } from './zip-directory.js';

/** For a file with an appended archive: completes `The file could not be scanned for malware: …`. */
export const ARCHIVE_AS_WELL =
  'it can be unpacked as a ZIP archive as well, and a scanner may read only part of it';

type IsContained = (end: End, tail: Buffer, sizeBytes: number) => boolean;

const GZIP_TRAILER_BYTES = 8;

/** The gzip trailer holds the uncompressed size (RFC 1952): the archive's size if there is no other content. */
const isOnlyContent: IsContained = ({ position, directoryOffset, directoryBytes, after }, tail, sizeBytes) =>
  after === GZIP_TRAILER_BYTES &&
  tail.readUInt32LE(tail.length - 4) === directoryOffset + directoryBytes + (sizeBytes - after - position);

const hasDataAfterIt: IsContained = ({ after }) => after !== 0;

const TAR_END_BYTES = 1024;
const isBeforeTarEnd: IsContained = ({ after }, tail) =>
  after >= TAR_END_BYTES && tail.subarray(-TAR_END_BYTES).every((byte) => byte === 0);

const SECTOR_BYTES = 512;
const isPaddedToSector: IsContained = ({ after }, _, sizeBytes) =>
  after !== 0 && sizeBytes % SECTOR_BYTES === 0;

/**
 * Containers that hold an archive byte for byte, also by "compressing" incompressible content, and write data of their
 * own after the last file. An end record before that data belongs to a contained file: the container is no archive.
 */
const CONTAINERS: readonly (readonly [types: RegExp, isContained: IsContained])[] = [
  [/^application\/gzip$/, isOnlyContent],
  [/^application\/(zstd|x-xz|x-lz4)$/, hasDataAfterIt],
  [
    /^application\/(x-(cpio|unix-archive|rar-compressed|7z-compressed|iso9660-image|asar)|vnd\.ms-cab-compressed)$/,
    hasDataAfterIt,
  ],
  [/^application\/x-tar$/, isBeforeTarEnd],
  [/^application\/x-cfb$/, isPaddedToSector],
  [/^application\/(x-sqlite3|vnd\.ms-outlook|vnd\.tcpdump\.pcap)$/, hasDataAfterIt],
];

/**
 * Whether unpackers would read a file as a ZIP archive because of its last bytes, whatever its first bytes are.
 * @param tail the last `ARCHIVE_TAIL_BYTES` of the file, or all of a shorter file
 */
export function hasAppendedArchive(tail: Buffer, sizeBytes: number, detected: string | null): boolean {
  const [, isContained] = CONTAINERS.find(([types]) => types.test(detected ?? '')) ?? [];
  return endsAsArchive(tail, sizeBytes, (end) => isContained?.(end, tail, sizeBytes) !== true);
}
