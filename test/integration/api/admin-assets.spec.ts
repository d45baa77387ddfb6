import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Database } from '#libs/database';
import { MAX_EXAMINED } from '../../../libs/assets/src/admin-assets.repository.js';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { TestApi } from '../../../libs/testing/src/test-api.js';

interface Page {
  readonly nodes: { readonly id: string; readonly ownerId: string; readonly status: string }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

describe('views of operators (real: the api, PostgreSQL)', () => {
  let api: TestApi;
  let database: Database;
  /** Ids, oldest first. */
  const ids: string[] = [];
  beforeAll(async () => {
    api = await TestApi.start();
    database = api.app.get(Database, { strict: false });
    for (const [ownerId, status] of [
      [42n, 'READY'],
      [43n, 'FAILED'],
      [42n, 'DELETED'],
      [42n, 'FAILED'],
      [43n, 'REJECTED'],
      [43n, 'READY'],
    ] as const) {
      ids.push(
        await storeAsset(database, { ownerId, status, createdAt: new Date(1e12 + ids.length * 1_000) }),
      );
    }
  });
  afterAll(() => api?.[Symbol.asyncDispose]());

  const asOperator = (query: string, variables: object = {}) =>
    api.query(query, variables, '1000', { scope: 'stowage.admin' });
  async function page(args: string): Promise<Page> {
    const list = `assets(${args}) { nodes { id ownerId status } pageInfo { hasNextPage endCursor } }`;
    const { data, errors } = await asOperator(`{ admin { ${list} } }`);
    expect(errors).toBeUndefined();
    return (data as { admin: { assets: Page } }).admin.assets;
  }
  const newest = (...numbers: number[]) => numbers.map((number) => ids[number]);

  it.each([
    ['', [5, 4, 3, 2, 1, 0]],
    ['status: [READY]', [5, 0]],
    ['status: [FAILED]', [3, 1]],
    ['status: [FAILED, REJECTED, FAILED]', [4, 3, 1]],
    ['status: [FAILED, READY]', [5, 3, 1, 0]],
    ['status: []', []],
    ['ownerId: "43"', [5, 4, 1]],
    ['ownerId: "42", status: [DELETED, FAILED]', [3, 2]],
    ['ownerId: "44"', []],
  ])('list assets by (%s) in pages of one', async (filter, expected) => {
    const found: string[] = [];
    for (let after = '', isMore = true; isMore;) {
      const { nodes, pageInfo } = await page(`first: 1${filter && `, ${filter}`}${after}`);
      found.push(...nodes.map(({ id }) => id));
      after = `, after: "${pageInfo.endCursor}"`;
      isMore = pageInfo.hasNextPage;
    }
    expect(found).toEqual(newest(...expected));
    expect((await page(`first: 100${filter && `, ${filter}`}`)).nodes.map(({ id }) => id)).toEqual(found);
  });

  it.each([
    ['first: 0', 'PAGE_INVALID'],
    ['first: 101', 'PAGE_INVALID'],
    ['after: "x"', 'CURSOR_INVALID'],
    ['ownerId: "-1"', 'OWNER_ID_INVALID'],
    ['ownerId: "9223372036854775808"', 'OWNER_ID_INVALID'],
  ])('reject (%s)', async (args, reason) => {
    const { errors } = await asOperator(`{ admin { assets(${args}) { nodes { id } } } }`);
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', reason } }]);
  });

  it('accept a cursor only with the filter of its page', async () => {
    const { pageInfo } = await page('first: 1, status: [FAILED]');
    for (const other of ['', 'status: [FAILED, REJECTED],', 'ownerId: "42", status: [FAILED],']) {
      const { errors } = await asOperator(
        `{ admin { assets(${other} after: "${pageInfo.endCursor}") { nodes { id } } } }`,
      );
      expect(errors).toMatchObject([{ extensions: { reason: 'CURSOR_INVALID' } }]);
    }
  });

  it('continue behind the examined entries when a page finds too few', async () => {
    await database.pool.query(
      `insert into media_assets select (jsonb_populate_record(a, jsonb_build_object('asset_id',
          ('ffffffff-' || lpad(to_hex(n), 4, '0') || '-7000-8000-000000000000')::uuid))).*
        from media_assets a, generate_series(1, ${MAX_EXAMINED + 500}) n where a.asset_id = $1`,
      [ids[2]],
    );
    try {
      const first = await page('status: [READY]');
      expect(first).toMatchObject({ nodes: [], pageInfo: { hasNextPage: true } });
      const second = await page(`status: [READY], after: "${first.pageInfo.endCursor}"`);
      expect(second.nodes.map(({ id }) => id)).toEqual(newest(5, 0));
      expect(second.pageInfo.hasNextPage).toBe(false);
    } finally {
      await database.pool.query(
        `delete from media_assets where asset_id > 'ffffffff-0000-0000-0000-000000000000'`,
      );
    }
  });

  const QUOTA = '{ limitBytes limitAssets usedBytes usedAssets reservedBytes reservedAssets }';
  const quota = async (ownerId: string) =>
    (await asOperator(`{ admin { quota(ownerId: "${ownerId}") ${QUOTA} } }`)).data?.admin;

  it('show and change the quota of any owner', async () => {
    const none = { usedBytes: 0, usedAssets: 0, reservedBytes: 0, reservedAssets: 0 };
    expect(await quota('777')).toEqual({
      quota: { limitBytes: 10 * 2 ** 30, limitAssets: 100_000, ...none },
    });
    const set = `mutation { setQuota(ownerId: "777", limitBytes: "9007199254740991", limitAssets: 0) ${QUOTA} }`;
    const expected = { limitBytes: 2 ** 53 - 1, limitAssets: 0, ...none };
    for (let time = 0; time < 2; time++) {
      expect((await asOperator(set)).data).toEqual({ setQuota: expected });
    }
    expect(await quota('777')).toEqual({ quota: expected });
    const lower = `mutation { setQuota(ownerId: "42", limitBytes: 1, limitAssets: 1) { limitBytes usedAssets } }`;
    expect((await asOperator(lower)).data).toEqual({ setQuota: { limitBytes: 1, usedAssets: 3 } });
    const request = `mutation { requestUpload(input: { filename: "f", mimeType: "text/plain", sizeBytes: 1,
      checksumSha256: "${'ab'.repeat(32)}" }) { asset { id } } }`;
    expect((await api.query(request)).errors).toMatchObject([{ extensions: { code: 'QUOTA_EXCEEDED' } }]);
  });

  it.each([
    ['ownerId: "x", limitBytes: 1, limitAssets: 1', 'OWNER_ID_INVALID'],
    ['ownerId: "042", limitBytes: 1, limitAssets: 1', 'OWNER_ID_INVALID'],
    ['ownerId: "1", limitBytes: 1, limitAssets: -1', 'NUMBER_INVALID'],
    ['ownerId: "1", limitBytes: -1, limitAssets: 1', 'NUMBER_INVALID'],
    ['ownerId: "1", limitBytes: "9007199254740992", limitAssets: 1', 'NUMBER_INVALID'],
  ])('reject setQuota(%s)', async (args, reason) => {
    const { errors } = await asOperator(`mutation { setQuota(${args}) { limitBytes } }`);
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', reason } }]);
  });

  it.each([
    '{ admin { assets { nodes { id } } } }',
    '{ admin { quota(ownerId: "42") { limitBytes } } }',
    'mutation { setQuota(ownerId: "42", limitBytes: 1, limitAssets: 1) { limitBytes } }',
  ])('are FORBIDDEN to other callers: %s', async (query) => {
    expect((await api.query(query)).errors).toMatchObject([
      { extensions: { code: 'FORBIDDEN', reason: 'OPERATORS_ONLY' } },
    ]);
  });
});
