import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { AssetBatchRemovalService, type AssetOutcome } from '#libs/assets';
import { type Actor, StowageError, unavailable } from '#libs/domain';
import { actor, World } from '../../../libs/testing/src/world.js';

const UNKNOWN = '00000000-0000-7000-8000-000000000000';
const owner = actor();

describe('deletion of several assets (real: PostgreSQL, queue, storage emulator)', () => {
  let world: World;
  let removal: AssetBatchRemovalService;
  beforeAll(async () => {
    world = await World.start();
    removal = world.module.get(AssetBatchRemovalService);
  });
  afterAll(() => world?.[Symbol.asyncDispose]());
  afterEach(() => void jest.restoreAllMocks());

  let number = 0;
  const requested = async (more: Parameters<World['request']>[1] = {}, by?: Actor) =>
    (await world.request(`content ${number++}`, more, by)).id;
  const stored = async (more: Parameters<World['upload']>[1] = {}, by?: Actor) =>
    (await world.upload(`content ${number++}`, more, by)).id;
  const resultsOf = (outcomes: readonly AssetOutcome[]) =>
    outcomes.map((outcome) => (outcome instanceof StowageError ? outcome.reason : outcome.status));
  const deleteAll = async (...ids: (string | StowageError)[]) =>
    resultsOf(await removal.deleteAll(owner, ids));
  const statusesOf = (ids: readonly string[]) =>
    Promise.all(ids.map(async (id) => (await world.asset(id)).status));

  it('gives each id its outcome, in order, and the same outcome to a repeat', async () => {
    const [ready, pending, { id: processing }] = [
      await stored(),
      await requested(),
      await world.received('being processed'),
    ];
    const readable = await stored({ acl: [{ principal: 'user:42', permissions: ['READ'] }] }, actor(43n));
    const refused = unavailable('CLOCK_OFFSET', 'refused before');
    const ids = [pending, UNKNOWN, 'x', ready, refused, readable, pending, processing];
    const expected = [
      'DELETED',
      'ASSET_NOT_FOUND',
      'ASSET_NOT_FOUND',
      'DELETED',
      'CLOCK_OFFSET',
      'PERMISSION_MISSING',
      'DELETED',
      'PROCESSING',
    ];
    for (let time = 0; time < 2; time++) expect(await deleteAll(...ids)).toEqual(expected);
    expect((await world.events(ready)).filter((type) => type === 'asset.deleted')).toHaveLength(1);
    expect((await world.asset(processing)).deletedAt).not.toBeNull();
    expect(await statusesOf([readable])).toEqual(['READY']);
  });

  it('deletes with the permission DELETE of another owner', async () => {
    const acl = [{ principal: 'user:7', permissions: ['READ' as const, 'DELETE' as const] }];
    const ids = [await stored({ acl }), await stored()];
    expect(resultsOf(await removal.deleteAll(actor(7n), ids))).toEqual(['DELETED', 'ASSET_NOT_FOUND']);
  });

  it('releases the quota of each upload once when calls overlap', async () => {
    const by = actor(50n);
    const ids: string[] = [];
    for (let count = 0; count < 12; count++) ids.push(await requested({}, by));
    const calls = [ids, ids.toReversed(), [...ids, ...ids]].map((each) => removal.deleteAll(by, each));
    for (const outcomes of await Promise.all(calls)) {
      expect(new Set(resultsOf(outcomes))).toEqual(new Set(['DELETED']));
    }
    expect(await world.quotas.of(50n)).toMatchObject({ reservedBytes: 0, reservedAssets: 0, usedAssets: 0 });
  });

  it('runs at most four deletions at a time', async () => {
    const ids: string[] = [];
    for (let count = 0; count < 10; count++) ids.push(await requested());
    let [running, most] = [0, 0];
    const remove = world.removal.deleteFound.bind(world.removal);
    jest.spyOn(world.removal, 'deleteFound').mockImplementation(async (...values) => {
      most = Math.max(most, ++running);
      await remove(...values).finally(() => running--);
    });
    await deleteAll(...ids);
    expect(most).toBe(4);
  });

  it('refuses only the uploads that need storage while storage is down', async () => {
    const session = { method: 'RESUMABLE' as const };
    const ids = [await requested(session), await stored(), await requested(session), await requested()];
    const down = unavailable('STORAGE_UNAVAILABLE', 'down');
    const end = jest.spyOn(world.sessions, 'end').mockRejectedValue(down);
    const outcomes = ['STORAGE_UNAVAILABLE', 'DELETED', 'STORAGE_UNAVAILABLE', 'DELETED'];
    expect(await deleteAll(...ids)).toEqual(outcomes);
    await expect(deleteAll(...ids)).rejects.toMatchObject({ reason: 'STORAGE_UNAVAILABLE' });
    end.mockRestore();
    expect(await deleteAll(...ids)).toEqual(['DELETED', 'DELETED', 'DELETED', 'DELETED']);
  });

  it('fails as a whole while the database is down, after few tries', async () => {
    const ids: string[] = [];
    for (let count = 0; count < 20; count++) ids.push(await requested());
    const down = unavailable('DATABASE_UNAVAILABLE', 'down');
    const spy = jest.spyOn(world.removal, 'deleteFound').mockRejectedValue(down);
    await expect(deleteAll(...ids)).rejects.toBe(down);
    expect(spy.mock.calls.length).toBeLessThanOrEqual(4);
    expect(new Set(await statusesOf(ids))).toEqual(new Set(['PENDING']));
  });

  it('reports an outage after deletions as the outcome of each asset', async () => {
    const ids = [await requested(), await requested()];
    const getAll = world.assets.getAll.bind(world.assets);
    const spy = jest.spyOn(world.assets, 'getAll');
    spy.mockImplementationOnce(getAll).mockRejectedValueOnce(unavailable('DATABASE_UNAVAILABLE', 'down'));
    expect(await deleteAll(...ids)).toEqual(['DATABASE_UNAVAILABLE', 'DATABASE_UNAVAILABLE']);
    expect(await deleteAll(...ids)).toEqual(['DELETED', 'DELETED']);
  });

  it.each([0, 101])('is refused for %i ids', async (count) => {
    const ids = Array.from({ length: count }, () => UNKNOWN);
    await expect(deleteAll(...ids)).rejects.toMatchObject({ reason: 'BATCH_SIZE' });
  });
});
