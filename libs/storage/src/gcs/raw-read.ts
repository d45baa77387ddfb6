import { Readable, finished } from 'node:stream';
import { NoAnswerError } from './storage-error.js';

/** An answer of which the head is here. */
export interface Media {
  readonly body: Readable;
  /** How many bytes the object has; NaN where storage does not say. */
  readonly storedBytes: number;
}

export interface RawReadOptions {
  /** Called when the first byte is wanted. */
  readonly open: (signal: AbortSignal) => Promise<Media>;
  /** How long the source may keep silent while bytes are wanted; a slow reader is never at fault. */
  readonly stallMs: number;
  readonly signal?: AbortSignal;
  /** Turns what went wrong into what the reader sees. */
  readonly asError: (error: unknown) => Error;
}

/**
 * The body of an answer as a stream that ends only when all of it has come: a body that breaks off, stalls or is shorter
 * than the object is an error. Holds no more than some streams' buffers, whatever the reader's speed.
 */
export function rawRead({ open, stallMs, signal, asError }: RawReadOptions): Readable {
  const opening = new AbortController();
  let source: Readable | undefined;
  let received = 0;

  const fail = (error: unknown) => output.destroy(asError(error));
  const stall = setTimeout(() => {
    const before = received;
    // After a process has stood still, timers run before the bytes that have been waiting for it.
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
      else fail(new NoAnswerError(`${received} of ${storedBytes} bytes came`));
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
