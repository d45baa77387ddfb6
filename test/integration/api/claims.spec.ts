import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readApiConfig } from '../../../libs/stowage/src/api/config.js';
import { TestApi } from '../../../libs/testing/src/test-api.js';

const VIEWER = '{ viewer { principals isAdmin } }';
const REQUEST =
  'mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { asset { id acl { principal } } } }';
const ASSET = 'query ($id: ID!) { asset(id: $id) { id viewerPermissions } }';

describe('token claims (real: PostgreSQL, HTTP)', () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await TestApi.start({
      JWT_GROUPS_POINTER: '/https:~1~1idp.example~1claims/groups',
      JWT_SCOPES_POINTER: '/scp',
    });
  });
  afterAll(() => api[Symbol.asyncDispose]());
  const groupsOf = (...groups: unknown[]) => ({ 'https://idp.example/claims': { groups } });

  it('are read from the configured locations', async () => {
    const claims = { ...groupsOf('Domain Users', '', 'a,b'), scp: ['stowage.admin'], groups: ['elsewhere'] };
    expect((await api.query(VIEWER, {}, '42', claims)).data).toEqual({
      viewer: { principals: ['user:42', 'group:Domain Users', '*'], isAdmin: true },
    });
    expect((await api.query(VIEWER, {}, '42', { groups: ['a'], scope: 'stowage.admin' })).data).toEqual({
      viewer: { principals: ['user:42', '*'], isAdmin: false },
    });
    const metrics = await (await api.fetch('/metrics')).text();
    expect(metrics).toMatch(/^stowage_token_groups_dropped_total\{reason="invalid"\} 2$/m);
    expect(metrics).not.toContain('Domain Users');
  });

  it.each(['Domain Users', '/staff/editors', 'R&D', 'Re\u0301daction', '学生', 'x'.repeat(200)])(
    'match grants to the group %s',
    async (group) => {
      const input = {
        filename: 'f',
        mimeType: 'text/plain',
        sizeBytes: 1,
        checksumSha256: 'ab'.repeat(32),
        acl: [{ principal: `group:${group.normalize('NFC')}`, permissions: ['READ'] }],
      };
      const { data } = await api.query(REQUEST, { input });
      const { id, acl } = (data!.requestUpload as { asset: { id: string; acl: object[] } }).asset;
      expect(acl).toEqual([{ principal: `group:${group.normalize('NFC')}` }]);
      const ask = (name: string) => api.query(ASSET, { id }, '43', groupsOf(name));
      expect((await ask(group)).data).toEqual({ asset: { id, viewerPermissions: ['READ'] } });
      expect((await ask('others')).data).toEqual({ asset: null });
    },
  );
});

it.each(['JWT_GROUPS_POINTER', 'JWT_SCOPES_POINTER'])('rejects an invalid %s at start', (name) => {
  for (const pointer of ['groups', 'https://idp.example/groups', '/a~', '/a~2', '#/groups'])
    expect(() => readApiConfig({ [name]: pointer })).toThrow(`${name} must be a JSON Pointer`);
  for (const pointer of ['/groups', '/realm_access/roles', '/cognito:groups', '/a~1b~0c', '/'])
    expect(() => readApiConfig({ [name]: pointer })).not.toThrow(`${name} must be`);
});
