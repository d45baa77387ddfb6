import { createHash, randomBytes } from 'node:crypto';
import { expect, it } from '@jest/globals';
import { readObject } from './read-object.js';

async function* chunksOf(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size)
    yield await Promise.resolve(Buffer.from(bytes.subarray(at, at + size)));
}

it.each([1, 7, 65_536, 100_000])('sees the same bytes in chunks of %i', async (size) => {
  const bytes = randomBytes(size === 1 ? 3_000 : 200_000);
  expect(await readObject(chunksOf(bytes, size))).toEqual({
    sizeBytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    crc32c: expect.stringMatching(/^[A-Za-z0-9+/]{6}==$/) as unknown,
    head: bytes.subarray(0, 65_536),
  });
});

it('computes CRC32C as RFC 3720 does (B.4: 32 bytes of zeros)', async () => {
  const { crc32c } = await readObject(chunksOf(Buffer.alloc(32), 32));
  expect(Buffer.from(crc32c, 'base64').toString('hex')).toBe('8a9136aa');
});

it('passes on what breaks the source', async () => {
  async function* broken() {
    yield await Promise.resolve(Buffer.from('a'));
    throw new Error('broken off');
  }
  await expect(readObject(broken())).rejects.toThrow('broken off');
});
