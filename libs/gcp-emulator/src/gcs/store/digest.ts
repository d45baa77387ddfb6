import { createHash } from 'node:crypto';
import { crc32c } from '@node-rs/crc32';

/** The hashes of a byte sequence that is still growing, in the forms GCS writes them in. */
export class ContentDigest {
  size = 0;
  private crc = 0;
  private readonly hash = createHash('md5');

  update(chunk: Buffer): void {
    this.size += chunk.length;
    this.hash.update(chunk);
    this.crc = crc32c(chunk, this.crc);
  }

  /** Both in base64, the checksum big-endian; ends the digest. */
  sums(): { size: number; md5: string; crc32c: string } {
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32BE(this.crc);
    return { size: this.size, md5: this.hash.digest('base64'), crc32c: checksum.toString('base64') };
  }
}
