/**
 * Frees a chunk's memory at once; the caller must not read the chunk afterwards. The garbage collector counts a buffer
 * as a few bytes, and would otherwise run again and again while files pass through. A view of a larger buffer is left
 * alone.
 */
export function release(chunk: Buffer): void {
  const { buffer } = chunk;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === chunk.byteLength) buffer.transfer(0);
}
