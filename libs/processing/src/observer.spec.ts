import { createHash, randomBytes } from 'node:crypto';
import { expect, it } from '@jest/globals';
import { HEAD_BYTES, type Observation, Observer } from './observer.js';

function observe(bytes: Buffer, size: number): Observation {
  const observer = new Observer();
  for (let at = 0; at < bytes.length; at += size) observer.see(bytes.subarray(at, at + size));
  return observer.end();
}

it.each([1, 7, 65_536, 100_000])('sees the same bytes in chunks of %i', (size) => {
  const bytes = randomBytes(size === 1 ? 3_000 : 200_000);
  expect(observe(bytes, size)).toEqual({
    sizeBytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    crc32c: expect.stringMatching(/^[A-Za-z0-9+/]{6}==$/) as unknown,
    head: bytes.subarray(0, HEAD_BYTES),
  });
});

it('computes CRC32C as RFC 3720 does (B.4: 32 bytes of zeros)', () => {
  const { crc32c } = observe(Buffer.alloc(32), 32);
  expect(Buffer.from(crc32c, 'base64').toString('hex')).toBe('8a9136aa');
});

it.each([1, 7, 1000])('keeps the last bytes, in chunks of %i', (size) => {
  const bytes = randomBytes(3_000);
  const observer = new Observer(2_500);
  for (let at = 0; at < bytes.length; at += size) observer.see(bytes.subarray(at, at + size));
  expect(observer.tail).toEqual(bytes.subarray(2_500));
  expect(new Observer().tail).toEqual(Buffer.alloc(0));
});

it.each([1, 7, 1000, 3_000])('keeps nothing of what is too much, in chunks of %i', (size) => {
  const bytes = randomBytes(3_000);
  const observer = new Observer(1_500, 2_000);
  for (let at = 0; at < bytes.length; at += size) observer.see(bytes.subarray(at, at + size));
  expect(observer.tail).toEqual(bytes.subarray(1_500, 2_000));
  expect(observer.sizeBytes).toBe(3_000);
});

it('keeps no chunk alive, and says what of it is head', () => {
  const observer = new Observer();
  const chunk = Buffer.from('abc');
  expect(observer.see(chunk)).toBe(3);
  chunk.fill(0);
  expect(observer.head.toString()).toBe('abc');
  expect(observer.see(randomBytes(HEAD_BYTES))).toBe(HEAD_BYTES - 3);
  expect(observer.see(Buffer.from('more'))).toBe(0);
});
