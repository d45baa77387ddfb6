import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AssetUpdatesService } from '#libs/assets';
import { Database } from '#libs/database';
import { AssetChangesService } from '../../../libs/assets/src/asset-changes.service.js';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { TestApi } from '../../../libs/testing/src/test-api.js';
import { actor } from '../../../libs/testing/src/world.js';

const ASSET = 'id filename metadata { key value }';
const ONE = `mutation ($input: UpdateAssetInput!) { updateAsset(input: $input) { ${ASSET} downloadUrl { url } } }`;
const OUTCOME = `index asset { ${ASSET} status } code reason message path`;
const MANY = `mutation ($inputs: [UpdateAssetInput!]!) { updateAssets(inputs: $inputs) { ${OUTCOME} } }`;
const DELETE = `mutation ($ids: [ID!]!) { deleteAssets(ids: $ids) { ${OUTCOME} } }`;

interface Outcome {
  readonly index: number;
  readonly asset: { readonly filename: string; readonly status: string } | null;
  readonly reason: string | null;
}

describe('changes of assets in the API (real: PostgreSQL, HTTP)', () => {
  let api: TestApi;
  let database: Database;
  beforeAll(async () => {
    api = await TestApi.start();
    database = api.app.get(Database, { strict: false });
  });
  afterAll(() => api?.[Symbol.asyncDispose]());

  const stored = (more: Parameters<typeof storeAsset>[1] = {}) => storeAsset(database, more);
  async function outcomes(query: string, variables: object = {}): Promise<Outcome[]> {
    const { data, errors } = await api.query(query, variables);
    expect(errors).toBeUndefined();
    return (data!.updateAssets ?? data!.deleteAssets) as Outcome[];
  }
  const resultsOf = (found: readonly Outcome[]) =>
    found.map(({ asset, reason }) => reason ?? `${asset?.status} ${asset?.filename}`);

  it('answer with the changed asset, and repeat the answer', async () => {
    const id = await stored();
    const input = {
      id,
      filename: 'ü.jpg',
      setMetadata: [
        { key: 'b', value: '2' },
        { key: 'a', value: '1' },
      ],
    };
    for (let time = 0; time < 2; time++) {
      const { data } = await api.query(ONE, { input });
      expect(data!.updateAsset).toEqual({
        id,
        filename: 'ü.jpg',
        metadata: [
          { key: 'a', value: '1' },
          { key: 'b', value: '2' },
        ],
        downloadUrl: { url: expect.stringContaining('%25C3%25BC.jpg') as unknown },
      });
    }
    const { data } = await api.query(ONE, { input: { id, filename: null, removeMetadata: ['a', 'c'] } });
    expect(data!.updateAsset).toMatchObject({ filename: 'ü.jpg', metadata: [{ key: 'b' }] });
  });

  it.each([
    [{ filename: 'a/b' }, 'BAD_USER_INPUT', 'FILENAME_INVALID', ['filename']],
    [
      { setMetadata: [{ key: 'a b', value: '' }] },
      'BAD_USER_INPUT',
      'METADATA_INVALID',
      ['setMetadata', 0, 'key'],
    ],
    [
      { setMetadata: [{ key: 'a', value: '' }], removeMetadata: ['b', 'a'] },
      'BAD_USER_INPUT',
      'METADATA_INVALID',
      ['removeMetadata', 1],
    ],
  ])('report the invalid value of %j', async (change, code, reason, path) => {
    const id = await stored();
    const { errors } = await api.query(ONE, { input: { id, ...change } });
    expect(errors).toMatchObject([{ extensions: { code, reason, path: ['input', ...path] } }]);
    const [outcome] = await outcomes(MANY, { inputs: [{ id, ...change }] });
    expect(outcome).toMatchObject({
      index: 0,
      asset: null,
      code,
      reason,
      path: ['inputs', 0, ...path].map(String),
    });
  });

  it('look the same for missing assets and those of others, and tell readers what is missing', async () => {
    const readable = await stored({ ownerId: 43n, readers: ['user:42'] });
    for (const [id, code, reason] of [
      [await stored({ ownerId: 43n }), 'NOT_FOUND', 'ASSET_NOT_FOUND'],
      [randomUUID(), 'NOT_FOUND', 'ASSET_NOT_FOUND'],
      ['nothing', 'NOT_FOUND', 'ASSET_NOT_FOUND'],
      [readable, 'FORBIDDEN', 'PERMISSION_MISSING'],
    ] as const) {
      const { errors } = await api.query(ONE, { input: { id, filename: 'x' } });
      expect(errors).toMatchObject([{ extensions: { code, reason } }]);
      for (const [query, variables] of [
        [MANY, { inputs: [{ id, filename: 'x' }] }],
        [DELETE, { ids: [id] }],
      ] as const) {
        expect(await outcomes(query, variables)).toMatchObject([{ asset: null, code, reason, path: null }]);
      }
    }
  });

  it('refuse only the items of a batch whose values are invalid', async () => {
    const [one, two] = [await stored(), await stored()];
    const inputs = [
      { id: one, filename: 'one' },
      { id: two, filename: 7 },
      { id: { a: 1 }, filename: 'x' },
      { id: two, filename: 'two', removeMetadata: [true] },
      { id: two, filename: 'two' },
    ];
    const found = await outcomes(MANY, { inputs });
    expect(resultsOf(found)).toEqual([
      'READY one',
      'VALUE_INVALID',
      'VALUE_INVALID',
      'VALUE_INVALID',
      'READY two',
    ]);
    expect(found.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4]);
    expect(found[3]).toMatchObject({ path: ['inputs', '3', 'removeMetadata', '0'], code: 'BAD_USER_INPUT' });
    expect(resultsOf(await outcomes(DELETE, { ids: [one, true, two, 1.5] }))).toEqual([
      'DELETED one',
      'VALUE_INVALID',
      'DELETED two',
      'VALUE_INVALID',
    ]);
  });

  it('keep the refusals of two batches in one operation apart', async () => {
    const [one, two] = [await stored(), await stored()];
    // The second request uses the cached document.
    for (let time = 0; time < 2; time++) {
      const { data, errors } = await api.query(`mutation {
        updateAssets(inputs: [{ id: "${one}", filename: 7 }, { id: "${one}", filename: "one" }]) { ${OUTCOME} }
        deleteAssets(ids: [true, "${two}"]) { ${OUTCOME} } }`);
      expect(errors).toBeUndefined();
      expect(resultsOf(data!.updateAssets as Outcome[])).toEqual(['VALUE_INVALID', 'READY one']);
      expect(resultsOf(data!.deleteAssets as Outcome[])).toEqual(['VALUE_INVALID', 'DELETED picture.jpg']);
    }
  });

  it.each([
    [MANY, { inputs: [] }, 'inputs'],
    [MANY, { inputs: Array.from({ length: 101 }, () => ({ id: randomUUID() })) }, 'inputs'],
    [DELETE, { ids: [] }, 'ids'],
    [DELETE, { ids: Array.from({ length: 101 }, () => randomUUID()) }, 'ids'],
  ])('need 1 to 100 items (%#)', async (query, variables, argument) => {
    expect((await api.query(query, variables)).errors).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT', reason: 'BATCH_SIZE', path: [argument] } },
    ]);
  });

  it('reach subscribers, each with the last state', async () => {
    const id = await stored();
    const updates = api.app.get(AssetUpdatesService, { strict: false });
    const states = await api.app.get(AssetChangesService, { strict: false }).watch(actor(), [id]);
    expect((await states.next()).value).toMatchObject({ filename: 'picture.jpg' });
    const names = ['a', 'b', 'c'];
    for (const filename of names) await updates.update(actor(), { id, filename });
    for (let last: string | undefined; last !== 'c';) {
      last = ((await states.next()).value as { filename: string }).filename;
      expect(names).toContain(last);
    }
    await updates.update(actor(), { id, setMetadata: [{ key: 'a', value: '1' }] });
    expect((await states.next()).value).toMatchObject({ id, filename: 'c' });
    await states.return?.();
  });
});
