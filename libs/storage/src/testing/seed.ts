import { randomUUID } from 'node:crypto';
import { crc32c } from '@node-rs/crc32';
import type { ObjectRef, ObjectVersion } from '#libs/domain';

/** Metadata of an object that a suite stores without the adapter under test. */
export interface SeedOptions {
  readonly contentType: string;
  readonly contentEncoding?: string;
}

/** Stores an object by other means than the adapter under test. */
export type Put = (object: ObjectRef, bytes: Buffer, options: SeedOptions) => Promise<ObjectVersion>;

/** Reads the metadata that a writer has set, by name, by other means than the adapter under test. */
export type MetadataOf = (object: ObjectRef) => Promise<Record<string, unknown>>;

/** A new key with every character that some encoding treats wrongly. */
export const freshKey = () => `contract/${randomUUID()}/a b+c%2Fd#e?f=ü&'(g)*!😀`;

/** The checksum as stores encode it: Base64 of the big-endian value. */
export function crc32cOf(bytes: Buffer): string {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32c(bytes));
  return sum.toString('base64');
}
