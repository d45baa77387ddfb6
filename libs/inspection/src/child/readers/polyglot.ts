import { BoundedFile, type ByteSource } from '../bounded-file.js';
import type { Reader } from '../reader.js';
import { findEndRecords, hasDirectory } from '../zip-directory.js';

/** Bytes: the last 64 KiB twice, and the start of each target of up to 16,000 end records in them. */
const MAX_READ = 2 ** 20;
const PDF_TAIL = 64 * 2 ** 10;

/** Returns the offset of the last `%%EOF` of a PDF, or -1. */
function endOfPdf(file: ByteSource): number {
  const start = Math.max(0, file.sizeBytes - PDF_TAIL);
  const found = file.read(start, file.sizeBytes - start).lastIndexOf('%%EOF', undefined, 'latin1');
  return found < 0 ? -1 : start + found;
}

/** Tells whether a media file is also a ZIP archive. */
export function isPolyglot(file: ByteSource, detected: string): boolean {
  const attachedBefore = detected === 'application/pdf' ? endOfPdf(file) : -1;
  return findEndRecords(file).some(
    (end) => hasDirectory(file, end) && (end.after === 0 || end.position > attachedBefore),
  );
}

/**
 * Refuses pictures, sound, video and PDF that are also a ZIP archive (GIFAR). A PDF may carry an archive as an attachment,
 * which ends before its `%%EOF`. Other data at the end, such as the video of a motion photo, is not an archive.
 */
export const read: Reader = ({ path, sizeBytes, detected }) =>
  new Promise((resolve) => {
    using file = new BoundedFile(path, sizeBytes, MAX_READ);
    const message = 'The file is also a ZIP archive. Remove the archive and upload the file again.';
    resolve(isPolyglot(file, detected) ? { refusal: { code: 'TYPE_MISMATCH', message } } : {});
  });
