import { randomUUID } from 'node:crypto';
import { crc32c } from '@node-rs/crc32';
import type { ObjectRef, ObjectVersion } from '#libs/domain';

/** What a suite needs to have been stored by somebody else. */
export interface SeedOptions {
  readonly contentType: string;
  readonly contentEncoding?: string;
}

/** Stores an object by other means than the adapter under test. */
export type Put = (object: ObjectRef, bytes: Buffer, options: SeedOptions) => Promise<ObjectVersion>;

/** What somebody set of all that a writer may set, by name, read by other means than the adapter under test. */
export type MetadataOf = (object: ObjectRef) => Promise<Record<string, unknown>>;

/** A key that no test has used, with every character that some encoding gets wrong. */
export const freshKey = () => `contract/${randomUUID()}/a b+c%2Fd#e?f=ü&'(g)*!😀`;

/** As stores write it: Base64, big-endian. */
export function crc32cOf(bytes: Buffer): string {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32c(bytes));
  return sum.toString('base64');
}
