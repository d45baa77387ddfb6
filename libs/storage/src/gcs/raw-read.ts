import { Readable, finished } from 'node:stream';
import { NoAnswerError } from './storage-error.js';

/** An answer whose headers have arrived. */
export interface Media {
  readonly body: Readable;
  /** Stored size of the object in bytes; NaN if storage did not send it. */
  readonly storedBytes: number;
}

export interface RawReadOptions {
  /** Called at the reader's first read. */
  readonly open: (signal: AbortSignal) => Promise<Media>;
  /**
   * How long the source may send no byte while the reader is waiting, in milliseconds. A slow reader causes no stall.
   */
  readonly stallMs: number;
  readonly signal?: AbortSignal;
  /** Maps an internal error to the error that the reader receives. */
  readonly asError: (error: unknown) => Error;
}

/**
 * Wraps the body of an answer in a stream that ends only after the complete object: a body that breaks off, stalls or
 * is shorter than the object destroys the stream with an error. Buffering is bounded at any reading speed.
 */
export function rawRead({ open, stallMs, signal, asError }: RawReadOptions): Readable {
  const opening = new AbortController();
  let source: Readable | undefined;
  let received = 0;

  const fail = (error: unknown) => output.destroy(asError(error));
  const stall = setTimeout(() => {
    const before = received;
    // After the process was suspended, timers fire before the pending socket data is read.
    setImmediate(() => {
      if (source && !source.isPaused() && received === before) fail(new NoAnswerError('The body stalled'));
    });
  }, stallMs);
  stall.unref();

  const begin = ({ body, storedBytes }: Media) => {
    source = body;
    stall.refresh();
    body.on('data', (chunk: Buffer) => {
      received += chunk.length;
      stall.refresh();
      if (!output.push(chunk)) body.pause();
    });
    finished(body, { writable: false }, (error) => {
      clearTimeout(stall);
      if (error) fail(new NoAnswerError('The body broke off', { cause: error }));
      else if (Number.isNaN(storedBytes) || received === storedBytes) output.push(null);
      else fail(new NoAnswerError(`The body ended after ${received} of ${storedBytes} bytes`));
    });
  };

  const output = new Readable({
    signal,
    read() {
      if (source === undefined) {
        open(opening.signal).then((media) => (output.destroyed ? media.body.destroy() : begin(media)), fail);
      } else if (source.isPaused()) {
        stall.refresh();
        source.resume();
      }
    },
    destroy(error, done) {
      clearTimeout(stall);
      opening.abort();
      source?.destroy();
      done(error);
    },
  });
  return output;
}
