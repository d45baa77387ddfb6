import { type FileHandle, open } from 'node:fs/promises';

/** Reads bytes from an offset; fewer, or none, past the end, and none from an offset that is not a whole number from 0. */
export type ReadAt = (offset: number, length: number) => Promise<Buffer>;

const isOffset = (value: number) => Number.isSafeInteger(value) && value >= 0;

export const bytesAt =
  (bytes: Buffer): ReadAt =>
  (offset, length) =>
    Promise.resolve(isOffset(offset) ? bytes.subarray(offset, offset + length) : Buffer.alloc(0));

const fileAt =
  (file: FileHandle): ReadAt =>
  async (offset, length) => {
    if (!isOffset(offset)) return Buffer.alloc(0);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
    return buffer.subarray(0, bytesRead);
  };

/** Opens a file for the duration of `read`. */
export async function readingFrom<T>(path: string, read: (at: ReadAt) => Promise<T>): Promise<T> {
  const file = await open(path);
  try {
    return await read(fileAt(file));
  } finally {
    await file.close();
  }
}

const WINDOW_BYTES = 65_536;

/** Reads ahead in windows, for readers that take a few bytes at a time. */
export function windowed(at: ReadAt): ReadAt {
  let start = 0;
  let bytes: Buffer = Buffer.alloc(0);
  return async (offset, length) => {
    if (length > WINDOW_BYTES) return at(offset, length);
    if (offset < start || offset + length > start + bytes.length) {
      bytes = await at(offset, WINDOW_BYTES);
      start = offset;
    }
    return bytes.subarray(offset - start, offset - start + length);
  };
}

/**
 * Fails reads once this process has used `processorSeconds` of processor time since the call. Stops libraries that follow
 * the structure of a hostile file without end.
 */
export function affordable(at: ReadAt, processorSeconds: number): ReadAt {
  const started = process.cpuUsage();
  return (offset, length) => {
    const { user, system } = process.cpuUsage(started);
    return user + system > processorSeconds * 1e6
      ? Promise.reject(new Error('Reading this file takes too long.'))
      : at(offset, length);
  };
}
