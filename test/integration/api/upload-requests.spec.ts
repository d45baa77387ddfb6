import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestApi } from '../../../libs/testing/src/test-api.js';

const ONE = `mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { asset { id } } }`;
const MANY = `mutation ($inputs: [RequestUploadInput!]!) { requestUploads(inputs: $inputs) {
  ... on RequestUploadPayload { asset { status } } ... on UploadRefusal { index code reason } } }`;

const RIGHT = {
  filename: 'file.txt',
  mimeType: 'text/plain',
  sizeBytes: 1,
  checksumSha256: '0'.repeat(64),
};
const entries = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ key: `k${index}`, value: '' }));
const grants = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ principal: `user:${index}`, permissions: ['READ'] }));

/** Inputs beyond the limits of docs/api.md, by one and by as much as a request body holds. */
const WRONG: [field: string, wrong: object, reason: string][] = [
  ['filename', { filename: 'x'.repeat(256) }, 'FILENAME_INVALID'],
  ['filename', { filename: 'x'.repeat(500_000) }, 'FILENAME_INVALID'],
  ['filename', { filename: `a${'\u0301\u0316'.repeat(100_000)}` }, 'FILENAME_INVALID'],
  ['mimeType', { mimeType: `image/${'x'.repeat(300)}` }, 'MIME_TYPE_INVALID'],
  ['mimeType', { mimeType: 'x'.repeat(500_000) }, 'MIME_TYPE_INVALID'],
  ['metadata', { metadata: entries(65) }, 'METADATA_INVALID'],
  ['metadata', { metadata: entries(10_000) }, 'METADATA_INVALID'],
  ['metadata', { metadata: [{ key: 'k', value: 'x'.repeat(4097) }] }, 'METADATA_INVALID'],
  ['acl', { acl: grants(201) }, 'ACL_TOO_LONG'],
  ['acl', { acl: Array.from({ length: 10_000 }, () => grants(1)[0]) }, 'ACL_TOO_LONG'],
  [
    'acl',
    { acl: grants(67).map((grant) => ({ ...grant, permissions: ['READ', 'WRITE', 'DELETE'] })) },
    'ACL_TOO_LONG',
  ],
  ['idempotencyKey', { idempotencyKey: 'x'.repeat(129) }, 'IDEMPOTENCY_KEY_INVALID'],
  ['sizeBytes', { sizeBytes: 2 ** 53 - 1 }, 'SIZE_TOO_LARGE'],
];

describe('limits of upload requests (real: PostgreSQL, HTTP)', () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await TestApi.start();
  });
  afterAll(() => api?.[Symbol.asyncDispose]());

  it.each(WRONG)(
    'reject an invalid %s with one reason in a single request and in a batch (%#)',
    async (field, wrong, reason) => {
      const input = { ...RIGHT, ...wrong };
      const { errors } = await api.query(ONE, { input });
      expect(errors).toMatchObject([
        {
          extensions: {
            code: 'BAD_USER_INPUT',
            reason,
            path: expect.arrayContaining(['input', field]) as unknown,
          },
        },
      ]);
      const { data } = await api.query(MANY, { inputs: [RIGHT, input] });
      expect(data!.requestUploads).toEqual([
        { asset: { status: 'PENDING' } },
        { index: 1, code: 'BAD_USER_INPUT', reason },
      ]);
    },
  );
});
