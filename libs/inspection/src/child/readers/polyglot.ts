import { BoundedFile, type Pieces } from '../bounded-file.js';
import type { Reader } from '../reader.js';
import { findEnds, hasDirectory } from '../zip-directory.js';

/** The last 64 KiB twice, and the beginnings of what up to 16,000 end records in it point to. */
const MAX_READ = 2 ** 20;
const PDF_TAIL = 64 * 2 ** 10;

/** Where the last `%%EOF` of a PDF is, or -1. */
function endOfPdf(file: Pieces): number {
  const start = Math.max(0, file.sizeBytes - PDF_TAIL);
  const found = file.read(start, file.sizeBytes - start).lastIndexOf('%%EOF', undefined, 'latin1');
  return found < 0 ? -1 : start + found;
}

/** Whether what is shown or played is a ZIP archive too. */
export function isPolyglot(file: Pieces, detected: string): boolean {
  const attachedBefore = detected === 'application/pdf' ? endOfPdf(file) : -1;
  return findEnds(file).some(
    (end) => hasDirectory(file, end) && (end.after === 0 || end.position > attachedBefore),
  );
}

/**
 * Pictures, sound, video and PDF that are a ZIP archive as well (GIFAR): refused. A PDF may carry an archive as an attachment, which
 * ends before its `%%EOF`. Other things at the end, such as the video of a motion photo, are nobody's archive.
 */
export const read: Reader = ({ path, sizeBytes, detected }) =>
  new Promise((resolve) => {
    using file = new BoundedFile(path, sizeBytes, MAX_READ);
    const message = 'The file is a ZIP archive at the same time.';
    resolve(isPolyglot(file, detected) ? { refusal: { code: 'TYPE_MISMATCH', message } } : {});
  });
