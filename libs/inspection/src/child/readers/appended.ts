import { ARCHIVE_AS_WELL, hasAppendedArchive } from '../appended-archive.js';
import { BoundedFile } from '../bounded-file.js';
import type { Reader } from '../reader.js';
import { ARCHIVE_TAIL_BYTES } from '../zip-directory.js';

/** Guard for inspected files without a guard of their own: reports a ZIP archive at the end of the file. */
export const read: Reader = ({ path, sizeBytes, detected }) =>
  new Promise((resolve) => {
    using file = new BoundedFile(path, sizeBytes, ARCHIVE_TAIL_BYTES);
    const start = Math.max(0, sizeBytes - ARCHIVE_TAIL_BYTES);
    const tail = file.read(start, sizeBytes - start);
    resolve(hasAppendedArchive(tail, sizeBytes, detected) ? { opaque: ARCHIVE_AS_WELL } : {});
  });
