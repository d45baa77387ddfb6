import { describe, expect, it } from '@jest/globals';
import { parseCrc32c, parseSha256 } from './checksum.js';
import { uploadDeadline } from './deadlines.js';
import { parseMetadata } from './metadata.js';
import {
  assetIdCreatedAt,
  assetIdOfIncomingKey,
  contentKey,
  corruptKey,
  incomingKey,
  INSTALLATION_KEY,
  parseContentKey,
  parseVariantKey,
  quarantineKey,
  variantKey,
} from './object-ref.js';
import { parseProfiles, specOf } from './variant-profile.js';

const ID = '019f5b1e-7c4b-7def-8a1b-0123456789ab';

describe('object keys', () => {
  it('accepts only asset ids as keys of the incoming bucket', () => {
    expect(assetIdOfIncomingKey(incomingKey(ID))).toBe(ID);
    for (const key of ['', ID.toUpperCase(), `${ID}/x`, `../${ID}`, 'content/x'])
      expect(assetIdOfIncomingKey(key)).toBeNull();
  });

  it('returns the creation time of a version 7 id and null for other versions', () => {
    // The example of https://www.rfc-editor.org/rfc/rfc9562#name-example-of-a-uuidv7-value
    const made = Date.parse('2022-02-22T19:22:22Z');
    expect(assetIdCreatedAt('017f22e2-79b0-7cc3-98c4-dc0c0c07398f')).toBe(made);
    expect(assetIdCreatedAt('017f22e2-79b0-4cc3-98c4-dc0c0c07398f')).toBeNull();
  });

  it('derives the content key from the hash and the scope', () => {
    expect(contentKey('ab')).toBe('content/ab');
    expect(contentKey('ab', '42')).toBe('content/42/ab');
  });

  const SHA256 = '0123456789abcdef'.repeat(4);
  const SPECS = parseProfiles([
    'a=webp:320:80',
    'b=jpeg:8192:100',
    'c=avif:1x2:1',
    'd=webp:600x600:80:cover',
    'e=webp:8192x8191:80',
  ]).map(specOf);

  it.each(['', '0', '42', String(2n ** 62n), String(2n ** 63n - 1n)])(
    'parses the keys of content and variants in the scope %p',
    (scope) => {
      expect(parseContentKey(contentKey(SHA256, scope))).toEqual({ sha256: SHA256, scope });
      for (const spec of SPECS) {
        expect(parseVariantKey(variantKey(SHA256, spec, scope))).toEqual({ sha256: SHA256, scope, spec });
      }
    },
  );

  it.each([
    '',
    SHA256,
    `content/`,
    `content/${SHA256.slice(1)}`,
    `content/${SHA256}0`,
    `content/${SHA256.toUpperCase()}`,
    `content/${SHA256}\n`,
    `content/${SHA256}/`,
    `content//${SHA256}`,
    `content/042/${SHA256}`,
    `content/-1/${SHA256}`,
    `content/1e3/${SHA256}`,
    `content/12345678901234567890/${SHA256}`,
    `content/1/2/${SHA256}`,
    `/content/${SHA256}`,
    `content-old/${SHA256}`,
    `contents/${SHA256}`,
    `variant/${SHA256}`,
    `variant/${SHA256}/`,
    `variant/${SHA256}/webp`,
    `variant/${SHA256}/webp-320-q80-r1/x`,
    `variant/${SHA256}/webp-320-q80-r1\n`,
    `variant/${SHA256}/webp-320x320-q80-r1`,
    `variant/${SHA256}/gif-320-q80-r1`,
    `variants/${SHA256}/webp-320-q80-r1`,
    `variant/x/${SHA256}/webp-320-q80-r1`,
    quarantineKey(SHA256),
    corruptKey(SHA256),
    INSTALLATION_KEY,
    ID,
  ])('recognises %p as a key that Stowage did not create', (key) => {
    expect(parseContentKey(key)).toBeNull();
    expect(parseVariantKey(key)).toBeNull();
  });
});

describe('checksums', () => {
  it.each([
    '',
    'a'.repeat(63),
    'a'.repeat(65),
    'ſ'.repeat(64),
    'g'.repeat(64),
    `${'a'.repeat(64)}\n`,
    Buffer.alloc(32).toString('base64'),
  ])('rejects the SHA-256 %p', (text) => {
    expect(() => parseSha256(text)).toThrow(expect.objectContaining({ reason: 'CHECKSUM_INVALID' }));
  });

  it('accepts a SHA-256 in either case and returns lower case', () => {
    expect(parseSha256('0123456789ABCDEF'.repeat(4))).toBe('0123456789abcdef'.repeat(4));
    expect(parseSha256('aB'.repeat(32))).toBe('ab'.repeat(32));
  });

  it('accepts only the Base64 of 4 bytes as crc32c', () => {
    expect(parseCrc32c('yZRlqg==')).toBe('yZRlqg==');
    for (const text of ['', 'yZRlqg', 'c99465aa', 'yZRlqgAA', 'yZRlqh==']) {
      expect(() => parseCrc32c(text)).toThrow(expect.objectContaining({ reason: 'CRC32C_INVALID' }));
    }
  });
});

describe('uploadDeadline', () => {
  const expiry = new Date('2026-01-01T00:15:00Z');

  it('adds an hour to the URL expiry, more for a large PUT', () => {
    expect(uploadDeadline(expiry, 0, 'PUT')).toEqual(new Date('2026-01-01T01:15:00Z'));
    expect(uploadDeadline(expiry, 5 * 2 ** 30, 'RESUMABLE')).toEqual(new Date('2026-01-01T01:15:00Z'));
    expect(uploadDeadline(expiry, 5 * 2 ** 30, 'PUT').getTime() - expiry.getTime()).toBe(327_680_000);
  });
});

describe('parseMetadata', () => {
  const entry = (key: string, value = '') => ({ key, value });

  it.each([
    ['too many entries', Array.from({ length: 65 }, (_, index) => entry(`k${index}`))],
    ['a duplicate key', [entry('a'), entry('a')]],
    ['an empty key', [entry('')]],
    ['a key with a space', [entry('a b')]],
    ['a long key', [entry('a'.repeat(65))]],
    ['a long value', [entry('a', 'é'.repeat(2049))]],
    ['a value with NUL', [entry('a', '\0')]],
  ])('rejects %s', (_, entries) => {
    expect(() => parseMetadata(entries, [])).toThrow(expect.objectContaining({ reason: 'METADATA_INVALID' }));
  });

  it('accepts 64 entries of 4096 bytes', () => {
    const entries = Array.from({ length: 64 }, (_, index) => entry(`k${index}`, 'x'.repeat(4096)));
    expect(parseMetadata(entries, [])).toBe(entries);
  });
});
