import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { JWTPayload } from 'jose';
import { Database } from '#libs/database';
import { sha256 } from '../../../libs/testing/src/world.js';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { type Answer, TestApi } from '../../../libs/testing/src/test-api.js';
import { put, type Ticket } from '../../e2e/stack.js';
import { OPERATIONS } from '../access/access-matrix.js';

const UPLOAD = `mutation ($input: RequestUploadInput!) { requestUpload(input: $input) {
  asset { id } upload { httpMethod url headers { name value } } } }`;
const LIST = `query ($after: String, $scope: AssetScope! = OWN) { assets(first: 2, after: $after, scope: $scope) {
  nodes { id ownerId } pageInfo { hasNextPage endCursor } } }`;
const CURSOR_INVALID = { code: 'BAD_USER_INPUT', reason: 'CURSOR_INVALID', path: ['after'] };
const ADMIN = { scope: 'stowage.admin' };

interface Page {
  readonly nodes: { readonly id: string; readonly ownerId: string }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

describe('hostile callers (real: PostgreSQL, storage emulator, HTTP)', () => {
  let api: TestApi;
  let database: Database;
  beforeAll(async () => {
    api = await TestApi.start({ RATE_LIMIT_PER_MINUTE: '0' });
    database = api.app.get(Database, { strict: false });
  });
  afterAll(() => api?.[Symbol.asyncDispose]());

  const extensionsOf = ({ errors = [] }: Answer) => errors.map(({ extensions }) => extensions);
  const page = async (variables: object, subject: string): Promise<Page> => {
    const { data, errors } = await api.query(LIST, variables, subject);
    expect(errors).toBeUndefined();
    return data!.assets as Page;
  };

  describe('with the id of an asset of somebody else', () => {
    const withId = Object.entries(OPERATIONS).filter(
      ([name, { need, text }]) =>
        !name.startsWith('Subscription.') && need !== 'operator' && text.includes('$id'),
    );

    it.each(withId)('get the answer for a missing asset: %s', async (_, { text }) => {
      const assets = [
        await storeAsset(database),
        await storeAsset(database, { status: 'DELETED' }),
        randomUUID(),
        'no id',
      ];
      const answers: string[] = [];
      for (const id of assets) {
        answers.push(JSON.stringify(await api.query(text, { id }, '57')).replaceAll(id, 'ID'));
      }
      expect(answers).toEqual(answers.map(() => answers[0]));
      expect(answers[0]).toMatch(/NOT_FOUND|"asset":null/);
    });

    it('find nothing by its checksum', async () => {
      const id = await storeAsset(database);
      const { checksumSha256 } = await database.prisma.mediaAsset.findUniqueOrThrow({
        where: { assetId: id },
      });
      const text = `query ($sum: Sha256!, $scope: AssetScope!) {
        assets(scope: $scope, filter: { checksumSha256: $sum }) { nodes { id } } }`;
      for (const scope of ['OWN', 'SHARED', 'PUBLIC']) {
        const found = (subject: string) => api.query(text, { sum: checksumSha256, scope }, subject);
        expect(await found('57')).toEqual({ data: { assets: { nodes: [] } } });
        expect(await found('42')).toEqual({ data: { assets: { nodes: scope === 'OWN' ? [{ id }] : [] } } });
      }
    });
  });

  it.each([
    ['the wildcard', ['*', 'group:*', ' *', '**', '%']],
    ['a user', ['user:42', '42', 'group:user:42']],
    ['an inherited property', ['__proto__', 'constructor', 'toString']],
    ['an empty text', ['', ' ', ',']],
  ])('get nothing by a group that is named like %s', async (_, groups) => {
    const id = await storeAsset(database);
    const shared = await storeAsset(database, { readers: ['*'] });
    // Only a row that bypassed the service could hold such a principal.
    for (const principal of ['group:*', 'group:', 'group:editors']) {
      const data = { assetId: id, principal, permission: 'DELETE' as const };
      await database.prisma.assetAcl.create({ data });
    }
    const ask = (assetId: string) =>
      api.query('query ($id: ID!) { asset(id: $id) { viewerPermissions } }', { id: assetId }, '77', {
        groups,
      });
    expect(await ask(id)).toEqual({ data: { asset: null } });
    expect(await ask(shared)).toEqual({ data: { asset: { viewerPermissions: ['READ'] } } });
  });

  describe('with a cursor', () => {
    it('of the own list of another caller are refused', async () => {
      for (let count = 0; count < 3; count++) await storeAsset(database, { ownerId: 65n });
      const { endCursor } = (await page({}, '65')).pageInfo;
      const answer = await api.query(LIST, { after: endCursor }, '66');
      expect(extensionsOf(answer)).toEqual([CURSOR_INVALID]);
    });

    it('of the shared list of another caller see only assets that are shared with themselves', async () => {
      for (const [ownerId, reader] of [
        [67n, 'user:71'],
        [68n, 'user:72'],
      ] as const) {
        for (let count = 0; count < 3; count++) await storeAsset(database, { ownerId, readers: [reader] });
      }
      const scope = 'SHARED';
      const first = await page({ scope }, '72');
      expect(first.nodes.map(({ ownerId }) => ownerId)).toEqual(['68', '68']);
      const seen = await page({ scope, after: first.pageInfo.endCursor }, '71');
      expect(seen.nodes.map(({ ownerId }) => ownerId)).toEqual(['67', '67']);
    });

    it('of an asset that was purged continue behind it', async () => {
      const ids: string[] = [];
      for (let count = 0; count < 4; count++) ids.unshift(await storeAsset(database, { ownerId: 61n }));
      const { nodes, pageInfo } = await page({}, '61');
      expect(nodes.map(({ id }) => id)).toEqual(ids.slice(0, 2));
      for (const { id } of nodes) {
        expect((await api.query(`mutation { purgeAsset(id: "${id}") }`, {}, '61')).errors).toBeUndefined();
      }
      const rest = await page({ after: pageInfo.endCursor }, '61');
      expect(rest.nodes.map(({ id }) => id)).toEqual(ids.slice(2));
    });

    it('that is changed, or of another list, are refused', async () => {
      for (let count = 0; count < 3; count++) await storeAsset(database, { ownerId: 62n });
      const { endCursor } = (await page({}, '62')).pageInfo;
      const decoded = Buffer.from(endCursor!, 'base64url').toString('latin1');
      const admin = await api.query(
        '{ admin { assets(first: 1) { pageInfo { endCursor } } } }',
        {},
        '1',
        ADMIN,
      );
      const foreign = (admin.data!.admin as { assets: Page }).assets.pageInfo.endCursor!;
      const forged = [
        `${endCursor}A`,
        endCursor!.slice(1),
        endCursor!.toUpperCase(),
        Buffer.from(decoded.replace(/\d/, (digit) => String((Number(digit) + 1) % 10))).toString('base64url'),
        Buffer.from(`${decoded}' or 1=1 --`).toString('base64url'),
        foreign,
        'null',
        '\0',
        'A'.repeat(100_000),
      ];
      for (const after of forged) {
        const answer = await api.query(LIST, { after }, '62');
        expect([after.slice(0, 50), extensionsOf(answer)]).toEqual([after.slice(0, 50), [CURSOR_INVALID]]);
      }
    });
  });

  it.each([
    ['PUT', '63', undefined],
    ['RESUMABLE', '69', { 'content-range': 'bytes 0-4/5' }],
  ])(
    'whose tokens were revoked can still send bytes by %s, and get nothing else',
    async (method, subject, headers) => {
      const claims: JWTPayload = { iat: Math.floor(Date.now() / 1000) - 100 };
      const ask = (text: string, variables: object = {}) => api.query(text, variables, subject, claims);
      const input = {
        filename: 'f',
        mimeType: 'text/plain',
        sizeBytes: 5,
        checksumSha256: sha256('bytes'),
        method,
      };
      const { asset, upload } = (await ask(UPLOAD, { input })).data!.requestUpload as {
        readonly asset: { readonly id: string };
        readonly upload: Ticket;
      };
      const { id } = asset;
      const ready = await storeAsset(database, { ownerId: BigInt(subject) });
      const before = new Date((claims.iat! + 1) * 1000);
      const revoke =
        'mutation ($subject: ID!, $before: DateTime!) { revokeTokens(ownerId: $subject, before: $before) }';
      expect((await api.query(revoke, { subject, before }, '1', ADMIN)).errors).toBeUndefined();

      expect(await put(upload, 'bytes', { headers })).toBe(200);
      for (const [text, variables] of [
        ['query ($id: ID!) { asset(id: $id) { downloadUrl { url } } }', { id: ready }],
        ['mutation ($id: ID!) { completeUpload(assetId: $id) { id } }', { id }],
        ['mutation ($id: ID!) { renewUpload(assetId: $id) { url } }', { id }],
        [UPLOAD, { input }],
      ] as const) {
        const answer = await ask(text, variables);
        expect(Object.values(answer.data ?? { none: null })).toEqual([null]);
        expect(extensionsOf(answer)).toMatchObject([{ code: 'UNAUTHENTICATED', reason: 'TOKEN_REVOKED' }]);
      }
      // The bytes count against the quota of the owner, and are nobody else's.
      const own = 'query ($id: ID!) { asset(id: $id) { status } }';
      expect(await api.query(own, { id }, '64')).toEqual({ data: { asset: null } });
      expect(await api.query(own, { id }, '1', ADMIN)).toEqual({ data: { asset: { status: 'PENDING' } } });
    },
  );
});
