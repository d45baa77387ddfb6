import { type FileHandle, open } from 'node:fs/promises';

/** Bytes from an offset on; fewer, down to none, where there are no more. */
export type ReadAt = (offset: number, length: number) => Promise<Buffer>;

export const bytesAt =
  (bytes: Buffer): ReadAt =>
  (offset, length) =>
    Promise.resolve(bytes.subarray(offset, offset + length));

const fileAt =
  (file: FileHandle): ReadAt =>
  async (offset, length) => {
    if (!Number.isSafeInteger(offset)) return Buffer.alloc(0);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
    return buffer.subarray(0, bytesRead);
  };

/** Keeps the file open as long as it is read. */
export async function readingFrom<T>(path: string, read: (at: ReadAt) => Promise<T>): Promise<T> {
  const file = await open(path);
  try {
    return await read(fileAt(file));
  } finally {
    await file.close();
  }
}
