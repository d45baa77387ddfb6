import { closeSync, openSync, readSync } from 'node:fs';

/** The file does not have what its own fields promise, or has so much of it that nobody honest wrote it. */
export class Unbelievable extends Error {}

/** Reads pieces of a file, at offsets that the file itself names, and no more than it was given to read. */
export class BoundedFile implements Disposable {
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

  /** @throws Unbelievable when it is not all there, or too much was read */
  read(offset: number, length: number): Buffer {
    const isInside = offset >= 0 && length >= 0 && offset + length <= this.sizeBytes;
    if (!isInside) throw new Unbelievable('it points out of the file');
    this.left -= length;
    if (this.left < 0) throw new Unbelievable('its directory is too large');
    const bytes = Buffer.allocUnsafe(length);
    for (let done = 0; done < length;) {
      const count = readSync(this.descriptor, bytes, done, length - done, offset + done);
      if (count === 0) throw new Unbelievable('the file is shorter than it was');
      done += count;
    }
    return bytes;
  }

  [Symbol.dispose](): void {
    closeSync(this.descriptor);
  }
}
