import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { FeatureGrantsService, permissionsOf } from '#libs/access';
import { type Asset, AssetGrantsService, AssetsService } from '#libs/assets';
import { SubscriptionRateLimiter } from '#libs/assets/graphql';
import { Clock, Database } from '#libs/database';
import type { Actor } from '#libs/domain';
import { AssetChangesService } from '../../../libs/assets/src/asset-changes.service.js';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { TestApi } from '../../../libs/testing/src/test-api.js';
import { until } from '../../../libs/testing/src/until.js';
import { actor } from '../../../libs/testing/src/world.js';
import { FOLDER_SHARES, sharesFeature } from './shares.js';

const OWNER = actor(42n);
const READER = actor(7n, { groups: ['staff'] });
const END = { done: true, value: undefined };

describe('subscriptions of readers (real: PostgreSQL)', () => {
  let api: TestApi;
  let database: Database;
  let grants: AssetGrantsService;
  beforeAll(async () => {
    api = await TestApi.start({}, [sharesFeature(FOLDER_SHARES)]);
    database = api.app.get(Database, { strict: false });
    grants = api.app.get(AssetGrantsService, { strict: false });
    // Puts off the heartbeat of a watch, at which it would notice any change, by hours.
    jest.spyOn(Math, 'random').mockReturnValue(1_000);
  });
  afterAll(async () => {
    jest.restoreAllMocks();
    await api?.[Symbol.asyncDispose]();
  });

  const sql = (text: string, values: unknown[] = []) => database.pool.query(text, values);
  const watch = (ids: readonly string[], by: Actor = READER) =>
    api.app.get(AssetChangesService, { strict: false }).watch(by, ids);
  const readers = ['user:7'];
  /** @returns the end of the grants */
  const endSoon = async (id: string) => {
    const { rows } = await database.pool.query<{ end: Date }>(
      `update asset_acl set expires_at = now() + interval '1 second' where asset_id = $1 returning expires_at as end`,
      [id],
    );
    return rows[0]!.end;
  };
  const shared = async () => {
    const id = await storeAsset(database);
    await database.transaction((tx) =>
      api.app
        .get(FeatureGrantsService, { strict: false })
        .grant(tx, { ownerId: 42n, principal: 'folders:7', assetIds: [id] }),
    );
    return id;
  };
  /** Begins a watch before the grant ends. On a slow machine the grant may have ended, and another one is given. */
  const watchToEnd = async (id: string) => {
    for (;;) {
      const ended = await endSoon(id);
      const states = await watch([id]).catch(() => null);
      if (states !== null && (await states.next()).done !== true) return { states, ended };
    }
  };

  it('end with the grant, without a notification', async () => {
    const id = await storeAsset(database, { readers });
    const { states } = await watchToEnd(id);
    expect(await states.next()).toEqual(END);
  });

  it('go on after a grant was extended', async () => {
    const id = await storeAsset(database, { readers });
    const isOver = async (end: Date) =>
      (await sql('select 1 where now() > $1', [end])).rows.length > 0 || null;
    const extended = async (): ReturnType<typeof watchToEnd> => {
      const watched = await watchToEnd(id);
      await grants.grant(OWNER, { assetId: id, principal: 'user:7', permissions: ['READ'] });
      // On a slow machine the grant may have ended before.
      return (await isOver(watched.ended)) ? extended() : watched;
    };
    const { states, ended } = await extended();
    const next = states.next();
    await until('the first end is over', () => isOver(ended));
    await sql('update media_assets set version = version + 1, updated_at = now() where asset_id = $1', [id]);
    await grants.grant(OWNER, { assetId: id, principal: 'user:8', permissions: ['READ'] });
    expect(await next).toMatchObject({ done: false, value: { id } });
    await states.return?.();
  });

  it.each(['user:7', 'group:staff', '*'])('end when %s is revoked', async (principal) => {
    const id = await storeAsset(database, { readers: [principal] });
    const states = await watch([id]);
    await states.next();
    const next = states.next();
    await grants.revoke(OWNER, { assetId: id, principal });
    expect(await next).toEqual(END);
  });

  it('drop one of several assets silently, and end with the last', async () => {
    const ids = [await storeAsset(database, { readers }), await storeAsset(database, { readers })];
    const states = await watch(ids);
    for (const id of ids) expect(await states.next()).toMatchObject({ value: { id } });
    const next = states.next();
    await grants.revoke(OWNER, { assetId: ids[0]!, principal: 'user:7' });
    await grants.grant(OWNER, { assetId: ids[1]!, principal: 'user:7', permissions: ['WRITE'] });
    expect(await next).toMatchObject({ value: { id: ids[1] } });
    await grants.revoke(OWNER, { assetId: ids[1]!, principal: 'user:7' });
    expect(await states.next()).toEqual(END);
  });

  it('send the state again when the permissions of the caller change', async () => {
    const id = await storeAsset(database, { readers });
    const states = await watch([id]);
    await states.next();
    await grants.grant(OWNER, { assetId: id, principal: 'group:staff', permissions: ['DELETE'] });
    const state = await states.next();
    expect(permissionsOf(READER, state.value as Asset)).toEqual(['READ', 'DELETE']);
    await states.return?.();
  });

  it.each([
    ['removed', 'delete from folder_shares where principal = $1'],
    ['over', `update folder_shares set expires_at = now() where principal = $1`],
  ])('end when the share is %s, of which no event is written', async (_, change) => {
    const id = await shared();
    await sql('insert into folder_shares values (7, $1)', ['group:staff']);
    const states = await watch([id]);
    await states.next();
    const next = states.next();
    await sql(change, ['group:staff']);
    expect(await next).toEqual(END);
    await sql('delete from folder_shares');
  });

  it('end when the grant of a feature is revoked', async () => {
    const id = await shared();
    await sql('insert into folder_shares values (7, $1)', ['*']);
    const states = await watch([id]);
    await states.next();
    const next = states.next();
    await database.transaction((tx) =>
      api.app.get(FeatureGrantsService, { strict: false }).revoke(tx, 'folders:7', [id]),
    );
    expect(await next).toEqual(END);
    await sql('delete from folder_shares');
  });

  it('end for readers of a deleted asset, and show it to those who may restore it', async () => {
    const id = await storeAsset(database, { readers });
    await grants.grant(OWNER, { assetId: id, principal: 'user:8', permissions: ['DELETE'] });
    const [reader, remover] = [await watch([id]), await watch([id], actor(8n))];
    await Promise.all([reader.next(), remover.next()]);
    await api.query('mutation ($id: ID!) { deleteAsset(id: $id) { id } }', { id });
    expect(await reader.next()).toEqual(END);
    expect(await remover.next()).toMatchObject({ value: { id, status: 'DELETED' } });
    await remover.return?.();
  });

  it('do not begin with an expired grant', async () => {
    const id = await storeAsset(database, { readers });
    await sql(`update asset_acl set expires_at = now() where asset_id = $1`, [id]);
    await expect(watch([id])).rejects.toMatchObject({ reason: 'ASSET_NOT_FOUND' });
  });

  describe('of which a state waits for the rate limit', () => {
    /** Grants the waiting turns; until then the limiter grants none. */
    let grantTurns: () => void;
    let waiting: number;
    let restore: () => void;
    beforeEach(() => {
      const limiter = api.app.get(SubscriptionRateLimiter, { strict: false });
      const turns = Promise.withResolvers<boolean>();
      grantTurns = () => turns.resolve(true);
      waiting = 0;
      const limited = jest.spyOn(limiter, 'take').mockImplementation((_, signal) => {
        waiting++;
        const aborted = new Promise<boolean>((resolve) =>
          signal?.addEventListener('abort', () => {
            waiting--;
            resolve(false);
          }),
        );
        return Promise.race([turns.promise, aborted]);
      });
      restore = () => limited.mockRestore();
    });
    afterEach(() => restore());
    const waits = () => until('a state waits', () => (waiting > 0 ? true : null));

    it('end when the grant is revoked', async () => {
      const id = await storeAsset(database, { readers });
      const states = await watch([id]);
      const next = states.next();
      await waits();
      await grants.revoke(OWNER, { assetId: id, principal: 'user:7' });
      expect(await next).toEqual(END);
    });

    it('end with the grant', async () => {
      const id = await storeAsset(database, { readers });
      // On a slow machine the grant may have ended before, and another one is given.
      const watched = async (): ReturnType<typeof watch> => {
        await endSoon(id);
        return (await watch([id]).catch(() => null)) ?? watched();
      };
      expect(await (await watched()).next()).toEqual(END);
    });

    it('end when the share is removed', async () => {
      const id = await shared();
      await sql('insert into folder_shares values (7, $1)', ['group:staff']);
      const next = (await watch([id])).next();
      await waits();
      await sql('delete from folder_shares');
      expect(await next).toEqual(END);
    });

    it('end when the client unsubscribes', async () => {
      const id = await storeAsset(database, { readers });
      const states = await watch([id]);
      const next = states.next();
      await waits();
      await states.return?.();
      expect([await next, waiting]).toEqual([END, 0]);
    });

    it('send the state of after the wait', async () => {
      const id = await storeAsset(database, { readers });
      const states = await watch([id]);
      const next = states.next();
      await waits();
      await grants.grant(OWNER, { assetId: id, principal: 'user:7', permissions: ['WRITE'] });
      grantTurns();
      const permissions = permissionsOf(READER, (await next).value as Asset);
      // The notification may arrive after the turn.
      if (permissions.length === 1) {
        expect(permissionsOf(READER, (await states.next()).value as Asset)).toEqual(['READ', 'WRITE']);
      } else expect(permissions).toEqual(['READ', 'WRITE']);
      await states.return?.();
    });
  });

  it('send no state after the end of the grant, although the database still serves the asset', async () => {
    const id = await storeAsset(database, { readers });
    await sql(`update asset_acl set expires_at = now() + interval '1 hour' where asset_id = $1`, [id]);
    const states = await watch([id]);
    const clock = api.app.get(Clock, { strict: false });
    const reads = jest.spyOn(api.app.get(AssetsService, { strict: false }), 'findAll');
    const later = jest.spyOn(clock, 'now').mockImplementation(() => new Date(Date.now() + 7_200_000));
    let isSent = false;
    const next = states.next().finally(() => (isSent = true));
    await until('the asset was read again', () => (reads.mock.calls.length >= 3 ? true : null));
    expect(isSent).toBe(false);
    later.mockRestore();
    expect(await next).toMatchObject({ value: { id } });
    reads.mockRestore();
    await states.return?.();
  });
});
