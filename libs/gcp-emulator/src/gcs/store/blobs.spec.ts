import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { asApiError } from '../http/errors.js';
import { Blobs } from './blobs.js';

let dataDir: string;
let blobs: Blobs;

beforeEach(async () => {
  dataDir = await mkdtemp(path.join(os.tmpdir(), 'stowage-blobs-'));
  blobs = await Blobs.open(dataDir, () => true);
});
afterEach(() => rm(dataDir, { recursive: true }));

async function* chunks(...texts: string[]) {
  for (const text of texts) yield await Promise.resolve(Buffer.from(text));
}

async function* failing(error: Error) {
  yield* chunks('some bytes');
  throw error;
}

async function files(): Promise<string[]> {
  const entries = await readdir(dataDir, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

describe('Blobs', () => {
  it('returns the size and the hashes of the bytes it writes', async () => {
    // The check value of CRC-32C is e3069283: https://reveng.sourceforge.io/crc-catalogue/17plus.htm
    const blob = await blobs.write(chunks('1234', '', '56789'), { sha256: true });
    expect(blob).toMatchObject({
      size: 9,
      md5: createHash('md5').update('123456789').digest('base64'),
      crc32c: Buffer.from('e3069283', 'hex').toString('base64'),
      sha256: createHash('sha256').update('123456789').digest('hex'),
    });
    expect(await files()).toEqual([blob.id]);
  });

  it('stops reading beyond the maximum size and leaves no file', async () => {
    let reads = 0;
    const endless = (async function* () {
      for (;;) {
        reads++;
        yield await Promise.resolve(Buffer.alloc(10));
      }
    })();
    await expect(blobs.write(endless, { max: 25 })).rejects.toMatchObject({ code: 'EntityTooLarge' });
    expect(reads).toBe(3);
    expect(await files()).toEqual([]);
  });

  it('leaves no file when the disk is full, and reports 503', async () => {
    const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    await expect(blobs.write(failing(full))).rejects.toBe(full);
    expect(await files()).toEqual([]);
    expect(asApiError(full)).toMatchObject({ status: 503 });
  });

  it('keeps a copy after its source is removed', async () => {
    const blob = await blobs.write(chunks('bytes'));
    const copy = await blobs.copy(blob.id);
    await blobs.remove(blob.id);
    expect(await files()).toEqual([copy]);
  });
});
