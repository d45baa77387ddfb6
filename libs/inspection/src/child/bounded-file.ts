import { closeSync, openSync, readSync } from 'node:fs';

/**
 * A file contradicts its own headers, or makes a reader read more than any legitimate file does. The message completes
 * `The file could not be scanned for malware: …`.
 */
export class InvalidArchiveError extends Error {}

const outOfRange = () => new InvalidArchiveError('it points out of the file');

/** A source of bytes with random access. */
export interface ByteSource {
  readonly sizeBytes: number;
  /** @throws InvalidArchiveError when the range is outside the source, or the read limit is exceeded */
  read(offset: number, length: number): Buffer;
}

/** A source in memory; reads share the memory of `bytes`. */
export const bufferSource = (bytes: Buffer): ByteSource => ({
  sizeBytes: bytes.length,
  read: (offset, length) => {
    if (offset < 0 || length < 0 || offset + length > bytes.length) throw outOfRange();
    return bytes.subarray(offset, offset + length);
  },
});

/** The part of `whole` of `sizeBytes` bytes from `start`. */
export const sourceSlice = (whole: ByteSource, start: number, sizeBytes: number): ByteSource => ({
  sizeBytes,
  read: (offset, length) => {
    if (offset < 0 || length < 0 || offset + length > sizeBytes) throw outOfRange();
    return whole.read(start + offset, length);
  },
});

/**
 * Random access to a file on disk. Hostile headers choose the offsets, so the number of bytes read is limited. Dispose
 * closes the file.
 */
export class BoundedFile implements ByteSource, Disposable {
  private readonly descriptor: number;
  private left: number;

  constructor(
    path: string,
    readonly sizeBytes: number,
    /** Limit of all reads together. */
    maxBytes: number,
  ) {
    this.descriptor = openSync(path, 'r');
    this.left = maxBytes;
  }

  /** @throws InvalidArchiveError when the range is outside the file, the limit is exceeded or the file has shrunk */
  read(offset: number, length: number): Buffer {
    const isInside = offset >= 0 && length >= 0 && offset + length <= this.sizeBytes;
    if (!isInside) throw outOfRange();
    this.left -= length;
    if (this.left < 0) throw new InvalidArchiveError('its directory is too large');
    const bytes = Buffer.allocUnsafe(length);
    for (let done = 0; done < length;) {
      const count = readSync(this.descriptor, bytes, done, length - done, offset + done);
      if (count === 0) throw new InvalidArchiveError('the file has become shorter');
      done += count;
    }
    return bytes;
  }

  [Symbol.dispose](): void {
    closeSync(this.descriptor);
  }
}
