import {
  type PDFDocumentLoadingTask,
  getDocument,
  PasswordException,
  PDFDataRangeTransport,
} from 'pdfjs-dist/legacy/build/pdf.mjs';
// This import registers the worker on the main thread, so that pdf.js starts none.
import 'pdfjs-dist/legacy/build/pdf.worker.mjs';
import { ENCRYPTED } from '../encryption.js';
import type { Finding, Reader } from '../reader.js';
import { findingOf } from './finding.js';
import { affordable, type ReadAt, readingFrom } from './read-at.js';

const CHUNK_BYTES = 65_536;
/** Bytes read of one document: pdf.js reads every page of a flat document, and all of a damaged one. */
const MAX_READ_BYTES = 256 * 2 ** 20;
/** pdf.js allocates memory for the whole file, although it fills only the parts that it reads. */
const MAX_FILE_BYTES = 2 ** 30;
const MAX_SECONDS = 20;
/** Processor time. For every missing chunk pdf.js restarts its current operation and blocks timers meanwhile. */
const MAX_PROCESSOR_SECONDS = 3;

/** Reads the requested ranges and gives up after `MAX_READ_BYTES`. */
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
  // pdf.js raises an unhandled rejection if the task is destroyed while it opens. Its memory is freed without that.
  let isFinished = false;
  const markFinished = () => (isFinished = true);
  task.promise.then(markFinished, markFinished);
  try {
    return findingOf(await Promise.race([propertiesOf(task), abandoned.promise]));
  } catch (error) {
    return error instanceof PasswordException ? { opaque: ENCRYPTED } : {};
  } finally {
    clearTimeout(timer);
    if (isFinished) await task.destroy();
  }
}

/** Reads page count and title of a document; no properties from a damaged one. One that requires a password is opaque. */
export const read: Reader = ({ path, sizeBytes }) =>
  readingFrom(path, async (at) => (sizeBytes > MAX_FILE_BYTES ? {} : readDocument(at, sizeBytes)));
