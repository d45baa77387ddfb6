import { createHash, type Hash } from 'node:crypto';
import { crc32c } from '@node-rs/crc32';
import { release } from '#libs/runtime';

/** Size of the head: the first bytes of a file, which are kept to detect its type. */
export const HEAD_BYTES = 64 * 1024;

/** Result of one pass over the bytes of a file. */
export interface Digest {
  readonly sizeBytes: number;
  readonly sha256: string;
  /** Base64 of the big-endian CRC32C, the form that GCS uses. */
  readonly crc32c: string;
  /** The first bytes, at most {@link HEAD_BYTES}. */
  readonly head: Buffer;
}

/**
 * Computes size, SHA-256 and CRC32C of a file from its chunks, and keeps only the head of the file and, on request, a tail.
 * @example
 * const digest = new ContentDigest();
 * for await (const chunk of source) digest.update(chunk);
 * const { sha256, sizeBytes } = digest.result();
 */
export class ContentDigest {
  private readonly hash = createHash('sha256');
  private readonly parts: Buffer[] = [];
  private digest: string | undefined;
  private crc = 0;
  private readonly tailParts: Buffer[] = [];
  /** Bytes of the head so far. */
  headBytes = 0;
  /** Bytes of the file so far. */
  sizeBytes = 0;

  /**
   * @param tailFrom offset of the first byte of the tail
   * @param tailTo offset behind the tail, which bounds the tail of a file that is larger than declared
   */
  constructor(
    private readonly tailFrom = Infinity,
    private readonly tailTo = Infinity,
  ) {}

  /** Adds the next chunk. @returns the number of its bytes that belong to the head */
  update(chunk: Buffer): number {
    this.hash.update(chunk);
    this.crc = crc32c(chunk, this.crc);
    const [from, to] = [this.tailFrom, this.tailTo].map((at) => Math.max(0, at - this.sizeBytes));
    this.sizeBytes += chunk.length;
    const tailPart = chunk.subarray(from, to);
    if (tailPart.length > 0) this.tailParts.push(Buffer.from(tailPart));
    if (this.headBytes === HEAD_BYTES) return 0;
    // A slice would retain the memory of the whole chunk, so it is copied.
    const part = Buffer.from(chunk.subarray(0, HEAD_BYTES - this.headBytes));
    this.parts.push(part);
    this.headBytes += part.length;
    return part.length;
  }

  /** The bytes between `tailFrom` and `tailTo`. */
  get tail(): Buffer {
    return Buffer.concat(this.tailParts);
  }

  get head(): Buffer {
    return Buffer.concat(this.parts);
  }

  /** SHA-256 of all chunks, in hexadecimal. No chunk can be added after this call. */
  sha256(): string {
    return (this.digest ??= this.hash.digest('hex'));
  }

  /** The digest of all chunks. No chunk can be added after this call. */
  result(): Digest {
    const crcBytes = Buffer.alloc(4);
    crcBytes.writeUInt32BE(this.crc);
    return {
      sizeBytes: this.sizeBytes,
      sha256: this.sha256(),
      crc32c: crcBytes.toString('base64'),
      head: this.head,
    };
  }
}

/** Passes the chunks of `source` through and adds them to `hash`. A chunk is released when the consumer requests the next one. */
export async function* hashed(source: AsyncIterable<Buffer>, hash: Hash): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
    release(chunk);
  }
}

/**
 * Lets a consumer iterate a generator that its owner then reads to the end. The consumer may stop early, which does not end the
 * generator, and abandon a pending `next()`.
 */
export const shared = (content: AsyncGenerator<Buffer>): AsyncIterable<Buffer> => ({
  [Symbol.asyncIterator]: () => ({
    next: () => {
      const step = content.next();
      step.catch(() => undefined);
      return step;
    },
  }),
});
