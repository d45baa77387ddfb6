import { endsAsArchive } from './zip-directory.js';

/** Why such a file is opaque. */
export const ARCHIVE_AS_WELL =
  'it can be unpacked as a ZIP archive as well, of which a scanner may see only a part';

/** They hold files as they are, and something of their own behind the last: that one is an archive says nothing of them. */
const CONTAINERS = /^application\/x-(tar|cpio|unix-archive|rar-compressed|7z-compressed|iso9660-image|cfb)$/;

/** Whether unpackers would take a file for a ZIP archive by its last bytes, whatever it begins with. */
export const hasAppendedArchive = (tail: Buffer, sizeBytes: number, detected: string | null): boolean =>
  endsAsArchive(
    tail,
    sizeBytes,
    ({ after }) => after === 0 || detected === null || !CONTAINERS.test(detected),
  );
