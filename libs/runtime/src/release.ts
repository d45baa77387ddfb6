/**
 * Frees a chunk's memory immediately; the chunk must not be used afterwards. The garbage collector counts only a few
 * bytes for each buffer, so a fast source would fill the memory with unused chunks before a collection, and then cause
 * constant collections. A chunk that is a part of a larger buffer is left unchanged.
 */
export function release(chunk: Buffer): void {
  const { buffer } = chunk;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === chunk.byteLength) buffer.transfer(0);
}
