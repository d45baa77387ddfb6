import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EICAR } from '../eicar.js';
import type { Scanner, ScanOptions, Verdict } from '../scanner.js';

/** Environment of the contract suite. */
export interface ScannerSetup {
  readonly scanner: Scanner;
  close?(): Promise<void>;
}

const MIB = 2 ** 20;
const infected = { outcome: 'infected', signature: expect.any(String) as unknown };

/** Yields a content in chunks and detaches each chunk's memory when the next one is requested. */
async function* detachingChunks(bytes: Buffer, chunkBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    const part = bytes.subarray(at, at + chunkBytes);
    const memory = new ArrayBuffer(part.length);
    const chunk = Buffer.from(memory);
    part.copy(chunk);
    yield await Promise.resolve(chunk);
    memory.transfer(0);
  }
}

/** Scans as the pipeline does: hashes the content on the way, then reads the rest that the scanner left. */
async function scanAll(
  scanner: Scanner,
  content: AsyncIterable<Buffer>,
  options: Partial<ScanOptions> = {},
): Promise<{ verdict: Verdict; sha256: string; sizeBytes: number }> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  let sha256: string | undefined;
  const hashedContent = (async function* () {
    for await (const chunk of content) {
      hash.update(chunk);
      sizeBytes += chunk.length;
      yield chunk;
    }
    sha256 = hash.digest('hex');
  })();
  const knownSha256 = () => {
    if (sha256 === undefined) throw new Error('The hash was asked for before the content ended');
    return sha256;
  };
  const verdict = await scanner.scan(hashedContent, { sizeBytes: 0, sha256: knownSha256, ...options });
  for await (const chunk of hashedContent) void chunk;
  return { verdict, sha256: knownSha256(), sizeBytes };
}

/** Contract suite for every {@link Scanner}. Call it at the top level of a spec file. */
export function scannerContract(name: string, setup: () => Promise<ScannerSetup>): void {
  describe(`the scanner contract: ${name}`, () => {
    let given: ScannerSetup;
    beforeAll(async () => {
      given = await setup();
    }, 60_000);
    afterAll(() => given.close?.());

    it.each([
      ['harmless text', Buffer.from('Harmless words'), 5, { outcome: 'clean' }],
      ['one byte', Buffer.from([0]), 1, { outcome: 'clean' }],
      ['an empty file', Buffer.alloc(0), 1, { outcome: 'clean' }],
      ['5 MiB', randomBytes(5 * MIB), 65_536, { outcome: 'clean' }],
      ['5 MiB in one chunk', randomBytes(5 * MIB), 5 * MIB, { outcome: 'clean' }],
      ['the EICAR test file', EICAR, EICAR.length, infected],
      ['the EICAR test file, byte by byte', EICAR, 1, infected],
      ['the EICAR test file with a line end', Buffer.concat([EICAR, Buffer.from('\r\n')]), 7, infected],
    ])('scans %s', async (_, bytes, chunkBytes, verdict) => {
      const sizeBytes = bytes.length;
      expect(await scanAll(given.scanner, detachingChunks(bytes, chunkBytes), { sizeBytes })).toEqual({
        verdict,
        sha256: createHash('sha256').update(bytes).digest('hex'),
        sizeBytes,
      });
    });

    it('scans the bytes after an empty chunk', async () => {
      const content = (async function* () {
        yield await Promise.resolve(Buffer.alloc(0));
        yield EICAR.subarray(0, 10);
        yield Buffer.alloc(0);
        yield EICAR.subarray(10);
      })();
      const { verdict } = await scanAll(given.scanner, content, { sizeBytes: EICAR.length });
      expect(verdict).toEqual(infected);
    });

    it.each([0, 1, 40])('rethrows an error of the content after %i chunks', async (chunks) => {
      const error = new TypeError('the content broke');
      const content = (async function* () {
        for (let i = 0; i < chunks; i++) yield await Promise.resolve(randomBytes(65_536));
        throw error;
      })();
      await expect(scanAll(given.scanner, content, { sizeBytes: MIB })).rejects.toBe(error);
    });

    it('rejects if the signal has already aborted', async () => {
      const signal = AbortSignal.abort(new Error('stopped'));
      const scan = scanAll(given.scanner, detachingChunks(EICAR, 1), { sizeBytes: 68, signal });
      await expect(scan).rejects.toBe(signal.reason);
    });

    it('stops waiting for a stalled content when the signal aborts', async () => {
      const abort = new AbortController();
      const reason = new Error('stopped');
      const content = (async function* () {
        yield randomBytes(1000);
        abort.abort(reason);
        yield await new Promise<Buffer>(() => undefined);
      })();
      const scan = given.scanner.scan(content, {
        sizeBytes: MIB,
        sha256: () => '',
        signal: abort.signal,
      });
      await expect(scan).rejects.toBe(reason);
    });

    it('returns a stable identity with a short label', async () => {
      const identity = await given.scanner.identify();
      expect(identity.label).toMatch(/^[\x20-\x7e]{1,128}$/);
      expect(identity.signaturesAt === null || identity.signaturesAt instanceof Date).toBe(true);
      expect(await given.scanner.identify()).toEqual(identity);
    });

    it('passes its health check', async () => {
      await expect(given.scanner.check()).resolves.toBeUndefined();
    });
  });
}
