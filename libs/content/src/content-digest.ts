import { createHash, type Hash } from 'node:crypto';
import { crc32c } from '@node-rs/crc32';
import { release } from '#libs/runtime';

/** How many of the first bytes are kept for finding out the type. */
export const HEAD_BYTES = 64 * 1024;

/** What one pass over the bytes found. */
export interface Digest {
  readonly sizeBytes: number;
  readonly sha256: string;
  /** Base64 of the big-endian CRC32C, as storage writes it. */
  readonly crc32c: string;
  /** The first bytes; all of them when `sizeBytes` is no more. */
  readonly head: Buffer;
}

/** Sees every chunk of a file, in order; holds nothing of it but the head, and the tail of one whose size is known. */
export class ContentDigest {
  private readonly hash = createHash('sha256');
  private readonly parts: Buffer[] = [];
  private digest: string | undefined;
  private crc = 0;
  private readonly tailParts: Buffer[] = [];
  headBytes = 0;
  sizeBytes = 0;

  /** What lies between the two is kept for the tail: nothing of what comes after it, in a file of another size than was declared. */
  constructor(
    private readonly tailFrom = Infinity,
    private readonly tailTo = Infinity,
  ) {}

  /** How many bytes of the chunk belong to the head. */
  update(chunk: Buffer): number {
    this.hash.update(chunk);
    this.crc = crc32c(chunk, this.crc);
    const [from, to] = [this.tailFrom, this.tailTo].map((at) => Math.max(0, at - this.sizeBytes));
    this.sizeBytes += chunk.length;
    const ofTail = chunk.subarray(from, to);
    if (ofTail.length > 0) this.tailParts.push(Buffer.from(ofTail));
    if (this.headBytes === HEAD_BYTES) return 0;
    // A copy: a slice would keep the whole chunk alive.
    const part = Buffer.from(chunk.subarray(0, HEAD_BYTES - this.headBytes));
    this.parts.push(part);
    this.headBytes += part.length;
    return part.length;
  }

  /** What it was told to keep. */
  get tail(): Buffer {
    return Buffer.concat(this.tailParts);
  }

  get head(): Buffer {
    return Buffer.concat(this.parts);
  }

  /** The digest of all that was seen; nothing can be seen after it. */
  sha256(): string {
    return (this.digest ??= this.hash.digest('hex'));
  }

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

/** The same chunks, hashed on the way, each given back as soon as its consumer asks for the next. */
export async function* hashed(source: AsyncIterable<Buffer>, hash: Hash): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
    release(chunk);
  }
}

/** The consumer may stop early, which does not end the content, and abandon a pending `next()`. */
export const shared = (content: AsyncGenerator<Buffer>): AsyncIterable<Buffer> => ({
  [Symbol.asyncIterator]: () => ({
    next: () => {
      const step = content.next();
      step.catch(() => undefined);
      return step;
    },
  }),
});
