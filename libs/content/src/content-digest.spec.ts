import { createHash, randomBytes } from 'node:crypto';
import { expect, it } from '@jest/globals';
import { HEAD_BYTES, type Digest, ContentDigest } from './content-digest.js';

function digestOf(bytes: Buffer, size: number): Digest {
  const digest = new ContentDigest();
  for (let at = 0; at < bytes.length; at += size) digest.update(bytes.subarray(at, at + size));
  return digest.result();
}

it.each([1, 7, 65_536, 100_000])('digests all bytes in chunks of %i', (size) => {
  const bytes = randomBytes(size === 1 ? 3_000 : 200_000);
  expect(digestOf(bytes, size)).toEqual({
    sizeBytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    crc32c: expect.stringMatching(/^[A-Za-z0-9+/]{6}==$/) as unknown,
    head: bytes.subarray(0, HEAD_BYTES),
  });
});

it('computes the CRC32C of RFC 3720 (B.4: 32 bytes of zeros)', () => {
  const { crc32c } = digestOf(Buffer.alloc(32), 32);
  expect(Buffer.from(crc32c, 'base64').toString('hex')).toBe('8a9136aa');
});

it.each([1, 7, 1000])('keeps the tail, in chunks of %i', (size) => {
  const bytes = randomBytes(3_000);
  const digest = new ContentDigest(2_500);
  for (let at = 0; at < bytes.length; at += size) digest.update(bytes.subarray(at, at + size));
  expect(digest.tail).toEqual(bytes.subarray(2_500));
  expect(new ContentDigest().tail).toEqual(Buffer.alloc(0));
});

it.each([1, 7, 1000, 3_000])('keeps no bytes behind the end of the tail, in chunks of %i', (size) => {
  const bytes = randomBytes(3_000);
  const digest = new ContentDigest(1_500, 2_000);
  for (let at = 0; at < bytes.length; at += size) digest.update(bytes.subarray(at, at + size));
  expect(digest.tail).toEqual(bytes.subarray(1_500, 2_000));
  expect(digest.sizeBytes).toBe(3_000);
});

it('copies the head and returns how many bytes of a chunk belong to it', () => {
  const digest = new ContentDigest();
  const chunk = Buffer.from('abc');
  expect(digest.update(chunk)).toBe(3);
  chunk.fill(0);
  expect(digest.head.toString()).toBe('abc');
  expect(digest.update(randomBytes(HEAD_BYTES))).toBe(HEAD_BYTES - 3);
  expect(digest.update(Buffer.from('more'))).toBe(0);
});
