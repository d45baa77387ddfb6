import { createHash } from 'node:crypto';
import { crc32c } from '@node-rs/crc32';

/** How many of the first bytes are kept for finding out the type. */
const HEAD_BYTES = 64 * 1024;

/** What one pass over the bytes found. */
export interface Observation {
  readonly sizeBytes: number;
  readonly sha256: string;
  /** Base64 of the big-endian CRC32C, as storage writes it. */
  readonly crc32c: string;
  /** The first bytes; all of them when `sizeBytes` is no more. */
  readonly head: Buffer;
}

/**
 * Gives a chunk's memory back now. The collector counts a buffer as a few bytes, so that without this a fast source
 * fills memory with spent chunks long before it runs.
 */
function release(chunk: Buffer): void {
  const { buffer } = chunk;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === chunk.byteLength) buffer.transfer(0);
}

/** Reads the bytes once and consumes the chunks; nothing but the head is held in memory. */
export async function readObject(source: AsyncIterable<Buffer>): Promise<Observation> {
  const hash = createHash('sha256');
  const head: Buffer[] = [];
  let headBytes = 0;
  let sizeBytes = 0;
  let crc = 0;
  for await (const chunk of source) {
    hash.update(chunk);
    crc = crc32c(chunk, crc);
    sizeBytes += chunk.length;
    if (headBytes < HEAD_BYTES) {
      // A copy: a slice would keep the whole chunk alive.
      const part = Buffer.from(chunk.subarray(0, HEAD_BYTES - headBytes));
      head.push(part);
      headBytes += part.length;
    }
    release(chunk);
  }
  const crcBytes = Buffer.alloc(4);
  crcBytes.writeUInt32BE(crc);
  return {
    sizeBytes,
    sha256: hash.digest('hex'),
    crc32c: crcBytes.toString('base64'),
    head: Buffer.concat(head),
  };
}
