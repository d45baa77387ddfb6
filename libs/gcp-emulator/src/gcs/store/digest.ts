import { createHash } from 'node:crypto';
import { crc32c } from '@node-rs/crc32';

/** Incremental hashes of a growing sequence of bytes, in the formats of GCS. */
export class ContentDigest {
  size = 0;
  private crc = 0;
  private readonly hash = createHash('md5');

  update(chunk: Buffer): void {
    this.size += chunk.length;
    this.hash.update(chunk);
    this.crc = crc32c(chunk, this.crc);
  }

  /** Returns the size in bytes, the MD5 in base64, and the CRC32C in base64, big-endian. Ends the digest. */
  sums(): { size: number; md5: string; crc32c: string } {
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32BE(this.crc);
    return { size: this.size, md5: this.hash.digest('base64'), crc32c: checksum.toString('base64') };
  }
}
