import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestApi } from '../../../libs/testing/src/test-api.js';

const REQUEST = `mutation ($input: RequestUploadInput!) {
  requestUpload(input: $input) { asset { id metadata { key value } acl { principal permission expiresAt } } } }`;
const ASSET = `query ($id: ID!) {
  asset(id: $id) { metadata { key value } acl { principal permission expiresAt } viewerPermissions } }`;
const LIST = `{ assets { nodes { id metadata { key value } acl { principal permission expiresAt } } } }`;

const EXPIRES = '2099-12-31T23:59:59.000Z';
const METADATA = [
  { key: 'album', value: 'Summer' },
  { key: 'note', value: 'Ünïcode, 1 and 2' },
];
const ACL = [
  { principal: '*', permission: 'READ', expiresAt: null },
  { principal: 'group:editors', permission: 'READ', expiresAt: null },
  { principal: 'group:editors', permission: 'WRITE', expiresAt: null },
  { principal: 'user:43', permission: 'DELETE', expiresAt: EXPIRES },
];

describe('metadata and access list (real: PostgreSQL, HTTP)', () => {
  let api: TestApi;
  let id: string;
  const input = {
    filename: 'file.txt',
    mimeType: 'text/plain',
    sizeBytes: 1,
    checksumSha256: '0'.repeat(64),
    metadata: METADATA,
    acl: [
      { principal: '*', permissions: ['READ'] },
      { principal: 'group:editors', permissions: ['READ', 'WRITE'] },
      { principal: 'user:43', permissions: ['DELETE'], expiresAt: EXPIRES },
    ],
  };
  const sorted = (answer: unknown) => {
    const { metadata, acl } = answer as { metadata: typeof METADATA; acl: typeof ACL };
    const byText = (a: object, b: object) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
    return { metadata: metadata.toSorted(byText), acl: acl.toSorted(byText) };
  };
  const everything = sorted({ metadata: METADATA, acl: ACL });

  beforeAll(async () => {
    api = await TestApi.start();
    const { data } = await api.query(REQUEST, { input });
    const { asset } = data!.requestUpload as { asset: { id: string } };
    ({ id } = asset);
    expect(sorted(asset)).toEqual(everything);
  });
  afterAll(() => api?.[Symbol.asyncDispose]());

  it('are complete for the owner, in a single asset and in a list', async () => {
    const { data } = await api.query(ASSET, { id });
    expect(sorted(data!.asset)).toEqual(everything);
    const list = await api.query(LIST);
    const { nodes } = list.data!.assets as { nodes: { id: string }[] };
    expect(sorted(nodes.find((node) => node.id === id))).toEqual(everything);
  });

  it('are complete for an operator', async () => {
    const { data } = await api.query(ASSET, { id }, '1000', { scope: 'stowage.admin' });
    expect(sorted(data!.asset)).toEqual(everything);
  });
});
