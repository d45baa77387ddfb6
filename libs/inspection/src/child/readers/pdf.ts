import {
  type PDFDocumentLoadingTask,
  getDocument,
  PasswordException,
  PDFDataRangeTransport,
} from 'pdfjs-dist/legacy/build/pdf.mjs';
// Which makes itself known to the other, so that no worker is started.
import 'pdfjs-dist/legacy/build/pdf.worker.mjs';
import { ENCRYPTED } from '../encryption.js';
import type { Finding, Reader } from '../reader.js';
import { findingOf } from './finding.js';
import { affordable, type ReadAt, readingFrom } from './read-at.js';

const CHUNK_BYTES = 65_536;
/** The most that is read to find out: the library looks at every page of a flat document, and at all of a damaged one. */
const MAX_READ_BYTES = 256 * 2 ** 20;
/** The library makes room for all of the file, though it fills only what it reads. */
const MAX_FILE_BYTES = 2 ** 30;
const MAX_SECONDS = 20;
/** For every chunk that it lacks, the library begins anew with what it was at, and leaves timers no turn. */
const MAX_PROCESSOR_SECONDS = 3;

/** Reads what is asked for, and gives up after so much of it. */
class FileTransport extends PDFDataRangeTransport {
  private read = 0;

  constructor(
    private readonly at: ReadAt,
    sizeBytes: number,
    private readonly giveUp: () => void,
  ) {
    super(sizeBytes, null);
  }

  override requestDataRange(begin: number, end: number): void {
    this.read += end - begin;
    if (this.read > MAX_READ_BYTES) this.giveUp();
    else {
      this.at(begin, end - begin).then(
        (chunk) => this.onDataRange(begin, new Uint8Array(chunk)),
        this.giveUp,
      );
    }
  }
}

async function propertiesOf(task: PDFDocumentLoadingTask) {
  const document = await task.promise;
  const { info, metadata } = await document.getMetadata();
  const title = (info as { Title?: unknown }).Title;
  const packet: unknown = metadata?.get('dc:title');
  return { pageCount: document.numPages, title: title || packet };
}

async function readDocument(at: ReadAt, sizeBytes: number): Promise<Finding> {
  const abandoned = Promise.withResolvers<never>();
  const giveUp = () => abandoned.reject(new Error('too much to read'));
  const timer = setTimeout(giveUp, MAX_SECONDS * 1000);
  const task = getDocument({
    range: new FileTransport(affordable(at, MAX_PROCESSOR_SECONDS), sizeBytes, giveUp),
    rangeChunkSize: CHUNK_BYTES,
    disableStream: true,
    disableAutoFetch: true,
    disableFontFace: true,
    useSystemFonts: false,
    useWorkerFetch: false,
    useWasm: false,
    enableXfa: false,
    verbosity: 0,
  });
  // Before it is or could not be opened, ending it is an error that nobody catches; nothing holds it any longer either.
  let isSettled = false;
  const settle = () => (isSettled = true);
  task.promise.then(settle, settle);
  try {
    return findingOf(await Promise.race([propertiesOf(task), abandoned.promise]));
  } catch (error) {
    return error instanceof PasswordException ? { opaque: ENCRYPTED } : {};
  } finally {
    clearTimeout(timer);
    if (isSettled) await task.destroy();
  }
}

/** Number of pages and title of a document; nothing for one that is damaged. One that opens only with a password is opaque. */
export const read: Reader = ({ path, sizeBytes }) =>
  readingFrom(path, async (at) => (sizeBytes > MAX_FILE_BYTES ? {} : readDocument(at, sizeBytes)));
