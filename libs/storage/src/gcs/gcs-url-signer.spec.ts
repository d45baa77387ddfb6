import { describe, expect, it } from '@jest/globals';
import { GcsUrlSigner } from './gcs-url-signer.js';
import type { GcsUrlSignerOptions } from './gcs-url-signer.js';

/** Generated for this test: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 */
const PRIVATE_KEY = `
-----BEGIN PRIVATE KEY-----
MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBALoNKPpsk2HfUlXx
svijHl69QMhizoY93rZXFCWrkIOHpcIbOqxpnYXSvqiSuayaCAMNQieXhuFpbiOD
R4OzkvOAjGAR9YdMueRd5tULUQxuZHN2mKSA0UcqsYAzfOtEYPnMrZBfBaKrtQam
dahtE3t0rYGSr7xHWW2fSfNyJC6xAgMBAAECgYEAmZ4EF8FOb6FU+mF2xJTqno7k
zo/GtlCfcy6zE+d0iyWVV4/kAjeyOKypf8amSD1mIB7yYH5cgAHtTqU2hyfeTIYu
GpeKIqieMvhk9utsQlysK35KYyUsoNiINSDuM/6s1eafq9B9NdyIVsS0GiMjo8oU
dSrqyx+5eZDXWVtceYECQQDuRRARBZZ6bmbbyBmr415QgifDhE7o/dwdc8Fr5+br
4qifJfK2Na7Ree7q+DQNBsd3QnSRj3hZcNBBpRXqMbq3AkEAx+VcFpBKND1ukLEN
prfLvzJXnB22ti45OFgsfnHya7dLLnzHq1fe1sHjvndnjGrVr1Z3IazNV2fQVdfV
33+Z1wJAVZn4SLVCN6AcUg+UsX1RMAliscqB8xDpGKeysMqy2sImpG6kwTOOJ/Hv
lPkw8hEibkUwze7GZROzrjHaKrZNBwJATt+GJXULgm9W6Aqka0sMPsXbYcMrq9iz
RTMtYzsMv0nUhWRA2K/UQoLAnQ+6MOKarBN+8C+h2kIhJy4Buq07gwJBANrBZg+g
Y0hYPeEFLHM9R3SZciphZEGWox8ZLTmGXBYxzvnuxj+QazdJiCqzG+hE+WxAzVS6
A8NXArZceFQ1EqU=
-----END PRIVATE KEY-----
`.trim();
const HMAC = { accessId: 'GOOG1EXAMPLEACCESSID', secret: 'bGoa+V7g/yqDXvKRqq+JTFn4uQZbPiQJo4pf9RzJ' };
const RSA = { clientEmail: 'signer@example.iam.gserviceaccount.com', privateKeyPem: PRIVATE_KEY };

const upload = {
  bucket: 'incoming',
  key: '0190f7a0-5e2b-7c3d-8a4f-1b2c3d4e5f60',
  contentType: 'image/png',
  sizeBytes: 18,
  crc32c: 'yZRlqg==',
};
const validity = { now: new Date('2026-11-22T10:13:02.789Z'), expiresInSeconds: 900 };
const signer = (options: Partial<GcsUrlSignerOptions> = {}) => new GcsUrlSigner({ key: HMAC, ...options });
const parameters = (url: string) => Object.fromEntries(new URL(url).searchParams);

describe('signUpload', () => {
  // The canonical request was written by hand, then hashed and signed with the openssl command.
  it.each([
    ['HMAC', HMAC, '0c7ea6b2be366f3980a604821de42b891c0e9249c62d58a19a811036d7df1658'],
    [
      'RSA',
      RSA,
      '78d676ca4c68c90c06e416b52a51f8048eafae95b7fac914767b647c683859e22b056a8e491d09c3390dde193100c44308c605de46755704f2810d4baf4e401a8ed4cb4f7cc6c4513ecae978001c43a89856d9bb9782563abda601bffcf5a0001a99949d2aa84bdf4e2adfb6b7bcf368056107c63cc4c997954afa48a0ddb763',
    ],
  ])('produces the signature that openssl produces with %s', async (_, key, signature) => {
    const { url } = await signer({ key }).signUpload(upload, validity);
    expect(parameters(url)['X-Goog-Signature']).toBe(signature);
  });

  it('lists exactly the headers that the client must send', async () => {
    const request = await signer().signUpload(upload, validity);
    expect(request).toEqual({
      httpMethod: 'PUT',
      url: expect.stringMatching(
        /^https:\/\/storage\.googleapis\.com\/incoming\/0190f7a0-.*\?X-Goog-Algorithm=/,
      ),
      headers: [
        { name: 'content-type', value: 'image/png' },
        { name: 'x-goog-content-length-range', value: '18,18' },
        { name: 'x-goog-if-generation-match', value: '0' },
        { name: 'x-goog-hash', value: 'crc32c=yZRlqg==' },
      ],
      expiresAt: new Date('2026-11-22T10:28:02Z'),
    });
    expect(parameters(request.url)['X-Goog-SignedHeaders']).toBe(
      'content-type;host;x-goog-content-length-range;x-goog-hash;x-goog-if-generation-match',
    );
  });

  it('limits an empty upload to 0 bytes', async () => {
    const { headers } = await signer().signUpload({ ...upload, sizeBytes: 0 }, validity);
    expect(headers).toContainEqual({ name: 'x-goog-content-length-range', value: '0,0' });
  });

  it('signs no hash header without a checksum', async () => {
    const grant = { ...upload, crc32c: undefined };
    const { url, headers } = await signer().signUpload(grant, validity);
    expect(headers.map(({ name }) => name)).not.toContain('x-goog-hash');
    expect(parameters(url)['X-Goog-SignedHeaders']).not.toContain('x-goog-hash');
  });

  it('rejects a content type that injects a header', async () => {
    const grant = { ...upload, contentType: 'image/png\r\nx-goog-acl: public-read' };
    await expect(signer().signUpload(grant, validity)).rejects.toThrow(TypeError);
  });

  it.each([0, -1, 1.5, NaN, 604_801])('rejects an expiry of %d seconds', async (expiresInSeconds) => {
    await expect(signer().signUpload(upload, { ...validity, expiresInSeconds })).rejects.toThrow(RangeError);
  });
});

describe('signDownload', () => {
  it('signs the content type and the disposition', async () => {
    const grant = {
      bucket: 'content',
      key: 'content/ab+c d',
      contentType: 'image/svg+xml',
      contentDisposition: `attachment; filename="a.svg"; filename*=UTF-8''%C3%A4.svg`,
    };
    const request = await signer().signDownload(grant, { ...validity, expiresInSeconds: 604_800 });
    expect(request).toMatchObject({
      httpMethod: 'GET',
      headers: [],
      expiresAt: new Date('2026-11-29T10:13:02Z'),
    });
    expect(new URL(request.url).pathname).toBe('/content/content/ab%2Bc%20d');
    expect(parameters(request.url)).toMatchObject({
      'response-content-disposition': grant.contentDisposition,
      'response-content-type': 'image/svg+xml',
      'X-Goog-Expires': '604800',
      'X-Goog-SignedHeaders': 'host',
    });
    const other = await signer().signDownload({ ...grant, contentType: 'text/html' }, validity);
    expect(parameters(other.url)['X-Goog-Signature']).not.toBe(parameters(request.url)['X-Goog-Signature']);
  });
});

it('signs the host name without the port', async () => {
  const at = (endpoint: string) => signer({ endpoint }).signUpload(upload, validity);
  const [one, other, elsewhere] = await Promise.all([
    at('http://127.0.0.1:4001'),
    at('http://127.0.0.1:4002/'),
    at('http://localhost:4001'),
  ]);
  expect(one.url).toMatch(/^http:\/\/127\.0\.0\.1:4001\/incoming\//);
  expect(other.url).toMatch(/^http:\/\/127\.0\.0\.1:4002\/incoming\//);
  expect(parameters(other.url)).toEqual(parameters(one.url));
  expect(parameters(elsewhere.url)).not.toEqual(parameters(one.url));
});
