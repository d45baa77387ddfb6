import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { FeatureGrantsService } from '#libs/access';
import { Database } from '#libs/database';
import { createApi, readApiConfig } from '#libs/stowage/api';
import { AssetChangesService } from '../../../libs/assets/src/asset-changes.service.js';
import { Emulators } from '../../../libs/testing/src/emulators.js';
import { appEnvironment } from '../../../libs/testing/src/environment.js';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { TestApi } from '../../../libs/testing/src/test-api.js';
import { createTestDatabase } from '../../../libs/testing/src/test-database.js';
import { FOLDER_SHARES, FOLDERS, sharesFeature, type SharesOptions } from './shares.js';

const ASSET = `query ($id: ID!) { asset(id: $id) {
  viewerPermissions downloadUrl { url } acl { principal permission expiresAt } } }`;
const REQUEST = `mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { asset { id } } }`;
const CANCEL = `mutation ($id: ID!) { cancelUpload(assetId: $id) { status } }`;
const UPLOAD = { filename: 'a.txt', mimeType: 'text/plain', sizeBytes: 6, checksumSha256: 'a'.repeat(64) };

describe('principals of features in the API (real: PostgreSQL, HTTP)', () => {
  let api: TestApi;
  let database: Database;
  let asset: string;
  beforeAll(async () => {
    api = await TestApi.start({}, [sharesFeature(FOLDER_SHARES)]);
    database = api.app.get(Database, { strict: false });
    asset = await storeAsset(database);
    await grant(asset);
  });
  afterAll(() => api?.[Symbol.asyncDispose]());

  const grant = (id: string) =>
    database.transaction((tx) =>
      api.app
        .get(FeatureGrantsService, { strict: false })
        .grant(tx, { ownerId: 42n, principal: 'folders:7', assetIds: [id] }),
    );
  const share = (principal: string) =>
    database.pool.query('insert into folder_shares values (7, $1)', [principal]);
  const unshare = (principal: string) =>
    database.pool.query('delete from folder_shares where principal = $1', [principal]);
  const readAs = async (subject: string, claims = {}) =>
    (await api.query(ASSET, { id: asset }, subject, claims)).data?.asset;

  it.each([
    ['user:43', '43', {}],
    ['group:staff', '44', { groups: ['staff'] }],
    ['*', '45', {}],
  ])('serve a reader by a share with %s until it is deleted', async (principal, subject, claims) => {
    expect(await readAs(subject, claims)).toBeNull();
    await share(principal);
    expect(await readAs(subject, claims)).toEqual({
      viewerPermissions: ['READ'],
      downloadUrl: { url: expect.any(String) },
      acl: [],
    });
    await unshare(principal);
    expect(await readAs(subject, claims)).toBeNull();
  });

  it('are shown to the owner, and refused in an access list', async () => {
    const owned = (await readAs('42')) as { acl: { principal: string }[] };
    expect(owned.acl).toEqual([{ principal: 'folders:7', permission: 'READ', expiresAt: null }]);
    const { principal } = owned.acl[0]!;
    const acl = [{ principal, permissions: ['READ'] }];
    const { errors } = await api.query(REQUEST, { input: { ...UPLOAD, acl } });
    expect(errors?.map(({ extensions }) => extensions)).toEqual([
      expect.objectContaining({
        code: 'BAD_USER_INPUT',
        reason: 'PRINCIPAL_INVALID',
        path: ['input', 'acl', 0, 'principal'],
      }),
    ]);
  });

  it('end a subscription when the share is deleted', async () => {
    const requested = await api.query(REQUEST, { input: UPLOAD });
    const { id } = (requested.data as { requestUpload: { asset: { id: string } } }).requestUpload.asset;
    await grant(id);
    await share('user:46');
    const reader = { ownerId: 46n, groups: [], isAdmin: false };
    const states = await api.app.get(AssetChangesService, { strict: false }).watch(reader, [id]);
    expect(await states.next()).toMatchObject({ value: { id, status: 'PENDING' } });
    await unshare('user:46');
    await api.query(CANCEL, { id });
    expect(await states.next()).toEqual({ done: true, value: undefined });
  });
});

const GRANT = `mutation ($input: GrantAccessInput!) { grantAccess(input: $input) {
  id viewerPermissions acl { principal permission expiresAt } } }`;
const REVOKE = `mutation ($input: RevokeAccessInput!) { revokeAccess(input: $input) {
  id viewerPermissions acl { principal permission expiresAt } } }`;
const EXPLAIN = `query ($assetId: ID!, $principals: [String!]!, $permission: Permission!) { admin {
  explainAccess(assetId: $assetId, principals: $principals, permission: $permission) { allowed because } } }`;
const ADMIN = { scope: 'stowage.admin' };

describe('grants of clients in the API (real: PostgreSQL, HTTP)', () => {
  let api: TestApi;
  let assetId: string;
  beforeAll(async () => {
    api = await TestApi.start();
    assetId = await storeAsset(api.app.get(Database, { strict: false }));
  });
  afterAll(() => api?.[Symbol.asyncDispose]());

  const EXPIRES = '2100-01-01T00:00:00.000Z';
  const input = (more: object = {}) => ({ input: { assetId, principal: 'user:43', ...more } });
  const readAs = async (subject: string) =>
    (await api.query(ASSET, { id: assetId }, subject)).data?.asset as Record<string, unknown> | null;
  const removalReasonAs = async (subject: string) => {
    const { errors } = await api.query(
      `mutation ($id: ID!) { deleteAsset(id: $id) { id } }`,
      { id: assetId },
      subject,
    );
    return errors?.[0]?.extensions.reason;
  };

  it('are granted, shown to the owner, used and revoked', async () => {
    const grant = input({ permissions: ['READ', 'WRITE'], expiresAt: EXPIRES });
    const acl = ['READ', 'WRITE'].map((permission) => ({
      principal: 'user:43',
      permission,
      expiresAt: EXPIRES,
    }));
    const viewerPermissions = ['READ', 'WRITE', 'DELETE'];
    for (let times = 0; times < 2; times++) {
      const { data } = await api.query(GRANT, grant);
      expect(data).toEqual({ grantAccess: { id: assetId, viewerPermissions, acl } });
    }
    expect(await readAs('43')).toEqual({
      viewerPermissions: ['READ', 'WRITE'],
      downloadUrl: { url: expect.any(String) },
      acl: [],
    });
    expect(await removalReasonAs('43')).toBe('PERMISSION_MISSING');
    const principals = ['user:43', '*'];
    const explained = await api.query(EXPLAIN, { assetId, principals, permission: 'WRITE' }, '1000', ADMIN);
    expect(explained.data).toEqual({
      admin: { explainAccess: { allowed: true, because: [`user:43 WRITE until ${EXPIRES}`] } },
    });
    for (let times = 0; times < 2; times++) {
      const { data } = await api.query(REVOKE, input(), '1000', ADMIN);
      expect(data).toEqual({ revokeAccess: { id: assetId, viewerPermissions, acl: [] } });
    }
    expect(await readAs('43')).toBeNull();
    expect(await removalReasonAs('43')).toBe('ASSET_NOT_FOUND');
  });

  it.each<[string, string, object, object]>([
    [
      'a principal of a feature',
      GRANT,
      { principal: 'albums:7', permissions: ['READ'] },
      { reason: 'PRINCIPAL_INVALID', path: ['input', 'principal'] },
    ],
    [
      'WRITE for everyone',
      GRANT,
      { principal: '*', permissions: ['WRITE'] },
      { reason: 'GRANT_TO_EVERYONE', path: ['input', 'permissions'] },
    ],
    [
      'no permission',
      GRANT,
      { permissions: [] },
      { reason: 'PERMISSIONS_EMPTY', path: ['input', 'permissions'] },
    ],
    [
      'an expiry in the past',
      GRANT,
      { permissions: ['READ'], expiresAt: '2020-01-01T00:00:00Z' },
      { reason: 'EXPIRY_PAST', path: ['input', 'expiresAt'] },
    ],
    [
      'a revocation of no permission',
      REVOKE,
      { permissions: [] },
      { reason: 'PERMISSIONS_EMPTY', path: ['input', 'permissions'] },
    ],
    [
      'a missing asset',
      GRANT,
      { assetId: 'x', permissions: ['READ'] },
      { code: 'NOT_FOUND', reason: 'ASSET_NOT_FOUND' },
    ],
  ])('refuse %s', async (_, mutation, more, extensions) => {
    const { errors } = await api.query(mutation, input(more));
    expect(errors?.map((error) => error.extensions)).toEqual([expect.objectContaining(extensions)]);
  });

  it('are explained to operators only', async () => {
    const variables = { assetId, principals: ['*'], permission: 'READ' };
    const { errors } = await api.query(EXPLAIN, variables);
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN', reason: 'OPERATORS_ONLY' } }]);
    expect((await api.query(EXPLAIN, variables, null)).errors).toMatchObject([
      { extensions: { code: 'UNAUTHENTICATED' } },
    ]);
  });
});

it.each<[string, SharesOptions, string]>([
  [
    'without its table',
    { ...FOLDER_SHARES, table: 'select 1' },
    'The principal source folders needs a column folder_id of type bigint in the table folder_shares.',
  ],
  [
    'with a prefix that is taken',
    { ...FOLDER_SHARES, sources: [FOLDERS, FOLDERS] },
    'The principal source of SharesRepository uses the prefix folders of SharesRepository.',
  ],
])('a source %s fails the start', async (_, shares, message) => {
  const database = await createTestDatabase();
  await using emulators = await Emulators.start();
  const features = [sharesFeature(shares)];
  const env = { ...appEnvironment(database.url, emulators), LOG_LEVEL: 'silent' };
  const app = await createApi(readApiConfig(env, features), features);
  try {
    await expect(app.init()).rejects.toThrow(message);
  } finally {
    await app.close();
    await database.drop();
  }
});
