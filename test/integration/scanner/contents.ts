import { createHash, randomBytes } from 'node:crypto';
import type { Scanner, ScanOptions, Verdict } from '#libs/scanner';

export async function* contentOf(...chunks: Buffer[]): AsyncGenerator<Buffer> {
  for (const chunk of chunks) yield await Promise.resolve(chunk);
}

/** Yields `count` MiB of random bytes. */
export async function* randomMebibytes(count: number): AsyncGenerator<Buffer> {
  for (let i = 0; i < count; i++) yield await Promise.resolve(randomBytes(2 ** 20));
}

export const scan = (scanner: Scanner, bytes: Buffer, options: Partial<ScanOptions> = {}): Promise<Verdict> =>
  scanner.scan(contentOf(bytes), {
    sizeBytes: bytes.length,
    sha256: () => createHash('sha256').update(bytes).digest('hex'),
    ...options,
  });

/** The error of a scan without a verdict. */
export const DOWN = { kind: 'unavailable', reason: 'SCANNER_UNAVAILABLE' };
