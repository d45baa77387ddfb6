/**
 * Gives a chunk's memory back now: nobody may look at it any more. The collector counts a buffer as a few bytes, and is called
 * time and again while files go by. A part of a larger buffer is left alone.
 */
export function release(chunk: Buffer): void {
  const { buffer } = chunk;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === chunk.byteLength) buffer.transfer(0);
}
