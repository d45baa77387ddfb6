import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { NoAnswerError } from './storage-error.js';

export interface RawReadOptions {
  /** Called when the first byte is wanted. */
  readonly open: (signal: AbortSignal) => Promise<IncomingMessage>;
  /** How long the source may keep silent while bytes are wanted; a slow reader is never at fault. */
  readonly stallMs: number;
  readonly signal?: AbortSignal;
  /** Turns what went wrong into what the reader sees. */
  readonly asError: (error: unknown) => Error;
}

/**
 * The body of an answer as a stream that ends only when all of it has come: a body that breaks off, stalls or is shorter
 * than the object is an error. Holds no more than a socket's and a stream's buffer, whatever the reader's speed.
 */
export function rawRead({ open, stallMs, signal, asError }: RawReadOptions): Readable {
  const opening = new AbortController();
  let response: IncomingMessage | undefined;
  let received = 0;

  const fail = (error: unknown) => body.destroy(asError(error));
  const stall = setTimeout(() => {
    const before = received;
    // After a process has stood still, timers run before the bytes that have been waiting for it.
    setImmediate(() => {
      if (response && !response.isPaused() && received === before)
        fail(new NoAnswerError('The body stalled'));
    });
  }, stallMs);
  stall.unref();

  const begin = (incoming: IncomingMessage) => {
    response = incoming;
    const stored = Number(incoming.headers['x-goog-stored-content-length'] ?? NaN);
    stall.refresh();
    incoming
      .on('data', (chunk: Buffer) => {
        received += chunk.length;
        stall.refresh();
        if (!body.push(chunk)) incoming.pause();
      })
      .once('end', () => {
        clearTimeout(stall);
        if (Number.isNaN(stored) || received === stored) body.push(null);
        else fail(new NoAnswerError(`${received} of ${stored} bytes came`));
      })
      .once('error', (error) => fail(new NoAnswerError('The body broke off', { cause: error })));
  };

  const body = new Readable({
    signal,
    read() {
      if (response === undefined) {
        open(opening.signal).then(
          (incoming) => (body.destroyed ? incoming.destroy() : begin(incoming)),
          fail,
        );
      } else if (response.isPaused()) {
        stall.refresh();
        response.resume();
      }
    },
    destroy(error, done) {
      clearTimeout(stall);
      opening.abort();
      response?.destroy();
      done(error);
    },
  });
  return body;
}
