import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { type Asset, AssetGrantsService, AssetsService } from '#libs/assets';
import { Database } from '#libs/database';
import { AssetChangesService } from '../../../libs/assets/src/asset-changes.service.js';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { TestApi } from '../../../libs/testing/src/test-api.js';
import { until } from '../../../libs/testing/src/until.js';
import { actor } from '../../../libs/testing/src/world.js';
import { FOLDER_SHARES, sharesFeature } from './shares.js';

const OWNER = actor(42n);
const READER = actor(7n);
const END = { done: true, value: undefined };
const ASSETS = 3_000;
const PER_SUBSCRIPTION = 100;

type States = AsyncIterableIterator<Asset>;

describe(`subscriptions of one reader to ${ASSETS} shared assets (real: PostgreSQL)`, () => {
  let api: TestApi;
  let database: Database;
  let grants: AssetGrantsService;
  /** Ids of each statement that reads assets for subscriptions. */
  let statements: (readonly string[])[];
  beforeAll(async () => {
    api = await TestApi.start({ SUBSCRIPTION_WORK_PER_SECOND: '100000' }, [sharesFeature(FOLDER_SHARES)]);
    database = api.app.get(Database, { strict: false });
    grants = api.app.get(AssetGrantsService, { strict: false });
    const assets = api.app.get(AssetsService, { strict: false });
    const findAll = assets.findAll.bind(assets);
    jest.spyOn(assets, 'findAll').mockImplementation((by, ids) => {
      statements.push(ids);
      return findAll(by, ids);
    });
    // Puts off the heartbeat of a watch, at which it reads all its assets, by hours.
    jest.spyOn(Math, 'random').mockReturnValue(1_000);
  });
  beforeEach(() => void (statements = []));
  afterAll(async () => {
    jest.restoreAllMocks();
    await api?.[Symbol.asyncDispose]();
  });

  const sql = (text: string, values: unknown[] = []) => database.pool.query(text, values);
  const watch = (ids: readonly string[]) =>
    api.app.get(AssetChangesService, { strict: false }).watch(READER, ids);
  const idsRead = () => statements.flat();

  /** Assets of the owner that `principal` may read. */
  async function assetsFor(principal: string): Promise<string[]> {
    const template = await storeAsset(database);
    const { rows } = await database.pool.query<{ id: string }>(
      `with copies as (
         insert into media_assets
         select (jsonb_populate_record(a, jsonb_build_object('asset_id', gen_random_uuid()))).*
         from media_assets a, generate_series(1, $2::int) where a.asset_id = $1 returning asset_id)
       insert into asset_acl (asset_id, principal, permission) select asset_id, $3, 'READ' from copies
       returning asset_id as id`,
      [template, ASSETS, principal],
    );
    return rows.map(({ id }) => id);
  }

  /** Subscriptions to all assets, and one to the first asset alone. All have sent the current states. */
  async function watchAll(ids: readonly string[]): Promise<{ all: States[]; single: States }> {
    const all: States[] = [];
    for (let from = 0; from < ids.length; from += PER_SUBSCRIPTION) {
      const part = ids.slice(from, from + PER_SUBSCRIPTION);
      const states = await watch(part);
      for (const id of part) expect(await states.next()).toMatchObject({ value: { id } });
      all.push(states);
    }
    const single = await watch(ids.slice(0, 1));
    await single.next();
    return { all, single };
  }

  it('read only the changed asset, and end when its grant is revoked or expires', async () => {
    const ids = await assetsFor('user:7');
    for (const end of [
      (assetId: string) => grants.revoke(OWNER, { assetId, principal: 'user:7' }),
      async (assetId: string) => {
        await sql(`update asset_acl set expires_at = now() + interval '1 second' where asset_id = $1`, [
          assetId,
        ]);
        // The event of another change makes the subscriptions learn the end.
        await grants.grant(OWNER, { assetId, principal: 'user:8', permissions: ['READ'] });
      },
    ]) {
      const { all, single } = await watchAll(ids);
      const pending = Promise.all(all.map((states) => states.next()));
      const next = single.next();
      statements = [];
      await end(ids[0]!);
      expect(await next).toEqual(END);
      expect(new Set(idsRead())).toEqual(new Set([ids[0]]));
      for (const states of all) await states.return?.();
      await pending;
      ids.shift();
    }
  });

  it('read each asset once to end after the share of all is removed', async () => {
    const ids = await assetsFor('folders:7');
    await sql('insert into folder_shares values (7, $1)', ['user:7']);
    const { all, single } = await watchAll(ids);
    const pending = [...all, single].map((states) => states.next());
    statements = [];
    // Access by shares is read again without an event.
    await until('all assets are read again', () => (new Set(idsRead()).size === ASSETS ? true : null));
    await sql('delete from folder_shares');
    statements = [];
    expect(await Promise.all(pending)).toEqual(pending.map(() => END));
    expect(idsRead().length).toBeLessThanOrEqual(ASSETS + 1);
  });
});
