import { closeSync, openSync, readSync } from 'node:fs';

/** The file does not have what its own fields promise, or has so much of it that nobody honest wrote it. */
export class InvalidArchiveError extends Error {}

const outOfIt = () => new InvalidArchiveError('it points out of the file');

/** Something that is read in pieces, at offsets that it names itself. */
export interface Pieces {
  readonly sizeBytes: number;
  /** @throws InvalidArchiveError when it is not all there, or too much was read */
  read(offset: number, length: number): Buffer;
}

/** What lies in memory. */
export const piecesOf = (bytes: Buffer): Pieces => ({
  sizeBytes: bytes.length,
  read: (offset, length) => {
    if (offset < 0 || length < 0 || offset + length > bytes.length) throw outOfIt();
    return bytes.subarray(offset, offset + length);
  },
});

/** What lies in something else, as it is. */
export const piecesWithin = (whole: Pieces, start: number, sizeBytes: number): Pieces => ({
  sizeBytes,
  read: (offset, length) => {
    if (offset < 0 || length < 0 || offset + length > sizeBytes) throw outOfIt();
    return whole.read(start + offset, length);
  },
});

/** Reads pieces of a file, at offsets that the file itself names, and no more than it was given to read. */
export class BoundedFile implements Pieces, Disposable {
  private readonly descriptor: number;
  private left: number;

  constructor(
    path: string,
    readonly sizeBytes: number,
    /** Of all reads together. */
    maxBytes: number,
  ) {
    this.descriptor = openSync(path, 'r');
    this.left = maxBytes;
  }

  /** @throws InvalidArchiveError when it is not all there, or too much was read */
  read(offset: number, length: number): Buffer {
    const isInside = offset >= 0 && length >= 0 && offset + length <= this.sizeBytes;
    if (!isInside) throw outOfIt();
    this.left -= length;
    if (this.left < 0) throw new InvalidArchiveError('its directory is too large');
    const bytes = Buffer.allocUnsafe(length);
    for (let done = 0; done < length;) {
      const count = readSync(this.descriptor, bytes, done, length - done, offset + done);
      if (count === 0) throw new InvalidArchiveError('the file is shorter than it was');
      done += count;
    }
    return bytes;
  }

  [Symbol.dispose](): void {
    closeSync(this.descriptor);
  }
}
