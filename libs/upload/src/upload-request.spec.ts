import { describe, expect, it } from '@jest/globals';
import { parseUploadRequest, type UploadRequest } from './upload-request.js';

const MAX_BYTES = 100;
const REQUEST: UploadRequest = {
  filename: 'Résumé.pdf',
  mimeType: 'application/pdf',
  sizeBytes: 7,
  checksumSha256: 'ab'.repeat(32),
  metadata: [
    { key: 'a', value: '1' },
    { key: 'b', value: '2' },
  ],
  acl: [
    { principal: 'group:Rédaction', permissions: ['READ', 'WRITE'] },
    { principal: 'user:7', permissions: ['READ'], expiresAt: new Date('2099-01-01T00:00:00Z') },
  ],
  idempotencyKey: 'key',
};
const fingerprint = (more: Partial<UploadRequest> = {}) =>
  parseUploadRequest({ ...REQUEST, ...more }, MAX_BYTES).fingerprint;

describe('UploadRequest fingerprint', () => {
  it('equals that of earlier releases, so that a repeated request finds its asset after an update', () => {
    const acl = [{ principal: 'group:editors', permissions: ['READ' as const] }];
    expect(fingerprint({ acl })).toBe('2bb09cc8ee9376c10ba92dbb7f97846cc29288b3b383d9cef7719d0dd91651fb');
  });

  it.each<[string, Partial<UploadRequest>]>([
    ['an identical request', {}],
    ['another key', { idempotencyKey: 'other' }],
    ['a decomposed name', { filename: 'Re\u0301sume\u0301.pdf' }],
    ['a name with invisible characters that are removed', { filename: '\u200eRés\u00adumé\ufeff.pdf' }],
    ['an upper-case hash', { checksumSha256: 'AB'.repeat(32) }],
    ['an upper-case type', { mimeType: 'Application/PDF' }],
    ['the default method', { method: 'PUT' }],
    ['metadata in another order', { metadata: REQUEST.metadata!.toReversed() }],
    ['grants in another order', { acl: REQUEST.acl!.toReversed() }],
    [
      'reordered and repeated permissions of a group in another Unicode form',
      {
        acl: [
          { principal: 'group:Re\u0301daction', permissions: ['WRITE', 'READ', 'WRITE'] },
          REQUEST.acl![1]!,
        ],
      },
    ],
  ])('stays equal for %s', (_, more) => {
    expect(fingerprint(more)).toBe(fingerprint());
  });

  it.each<[string, Partial<UploadRequest>]>([
    ['name', { filename: 'Resume.pdf' }],
    ['type', { mimeType: 'text/plain' }],
    ['size', { sizeBytes: 8 }],
    ['hash', { checksumSha256: 'ac'.repeat(32) }],
    ['checksum', { crc32c: 'yZRlqg==' }],
    ['method', { method: 'RESUMABLE' }],
    ['metadata', { metadata: [] }],
    ['value of metadata', { metadata: [REQUEST.metadata![0]!, { key: 'b', value: '3' }] }],
    ['permission', { acl: [{ principal: 'group:Rédaction', permissions: ['READ'] }, REQUEST.acl![1]!] }],
    ['expiry', { acl: [REQUEST.acl![0]!, { ...REQUEST.acl![1]!, expiresAt: null }] }],
  ])('differs for another %s', (_, more) => {
    expect(fingerprint(more)).not.toBe(fingerprint());
  });

  it('is null without an idempotency key', () => {
    expect(fingerprint({ idempotencyKey: null })).toBeNull();
  });
});
