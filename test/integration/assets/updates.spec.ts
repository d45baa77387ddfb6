import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { type AssetOutcome, AssetUpdatesService } from '#libs/assets';
import { type Actor, StowageError, unavailable } from '#libs/domain';
import { actor, World } from '../../../libs/testing/src/world.js';

const DAY_MS = 86_400_000;
const UNKNOWN = '00000000-0000-7000-8000-000000000000';
const owner = actor();
const entry = (key: string, value = 'v') => ({ key, value });
const entries = (count: number, prefix = 'k') =>
  Array.from({ length: count }, (_, index) => entry(`${prefix}${index}`));

describe('updates of assets (real: PostgreSQL, queue, storage emulator)', () => {
  let world: World;
  let updates: AssetUpdatesService;
  beforeAll(async () => {
    world = await World.start();
    updates = world.module.get(AssetUpdatesService);
  });
  afterAll(() => world?.[Symbol.asyncDispose]());
  afterEach(() => void jest.restoreAllMocks());

  let number = 0;
  /** Uploads bytes of its own, so that no test uses bytes of another. */
  const stored = (more: Parameters<World['upload']>[1] = {}, by?: Actor) =>
    world.upload(`content ${number++}`, more, by);
  const metadataOf = async (id: string) => {
    const { metadata } = (await world.assets.details([id])).get(id)!;
    return Object.fromEntries(metadata.map(({ key, value }) => [key, value]));
  };
  const rowOf = (assetId: string) => world.database.prisma.mediaAsset.findUnique({ where: { assetId } });
  const countUpdates = async (id: string) =>
    (await world.events(id)).filter((type) => type === 'asset.updated').length;
  const reasonsOf = (outcomes: readonly AssetOutcome[]) =>
    outcomes.map((outcome) => (outcome instanceof StowageError ? outcome.reason : outcome.filename));

  it('change the name and metadata once, and repeats change nothing', async () => {
    const { id, updatedAt } = await stored({ metadata: [entry('a', '1'), entry('b', '2'), entry('c', '3')] });
    const update = {
      id,
      filename: ' Ünï.txt',
      setMetadata: [entry('a', 'new'), entry('d')],
      removeMetadata: ['b'],
    };
    const changed = await updates.update(owner, update);
    expect(changed).toMatchObject({ id, filename: ' Ünï.txt', status: 'READY' });
    expect(changed.updatedAt.getTime()).toBeGreaterThan(updatedAt.getTime());
    expect(await metadataOf(id)).toEqual({ a: 'new', c: '3', d: 'v' });
    const row = await rowOf(id);
    expect(await updates.update(owner, update)).toEqual(changed);
    expect(await updates.update(owner, { id })).toEqual(changed);
    expect(await rowOf(id)).toEqual(row);
    expect(await countUpdates(id)).toBe(1);
  });

  it('appear in download names and in the order of shared lists', async () => {
    const { id } = await stored({ acl: [{ principal: '*', permissions: ['READ'] }] });
    const renamed = await updates.update(owner, { id, filename: 'Übersicht "1".txt' });
    const { url } = (await world.urls.sign(owner, renamed, 60, 'ATTACHMENT'))!;
    const response = await fetch(url);
    expect(response.headers.get('content-disposition')).toContain(
      "filename*=UTF-8''%C3%9Cbersicht%20%221%22.txt",
    );
    await response.arrayBuffer();
    const [grant] = await world.database.prisma.assetAcl.findMany({ where: { assetId: id } });
    expect(grant).toMatchObject({ sortName: 'übersicht "1".txt' });
  });

  it.each([
    ['a writer', actor(7n), null],
    ['a writer by group', actor(8n, { groups: ['editors'] }), null],
    ['an operator', actor(1000n, { isAdmin: true }), null],
    ['a reader', actor(9n), 'PERMISSION_MISSING'],
    ['a stranger', actor(10n), 'ASSET_NOT_FOUND'],
  ])('are decided by the permission WRITE: %s', async (_, by, reason) => {
    const { id } = await stored({
      acl: [
        { principal: 'user:7', permissions: ['READ', 'WRITE'] },
        { principal: 'group:editors', permissions: ['READ', 'WRITE'] },
        { principal: 'user:9', permissions: ['READ', 'DELETE'] },
      ],
    });
    const update = updates.update(by, { id, filename: 'changed' });
    if (reason === null) expect(await update).toMatchObject({ filename: 'changed' });
    else await expect(update).rejects.toMatchObject({ reason });
    expect((await world.asset(id)).filename).toBe(reason === null ? 'changed' : 'file.txt');
  });

  it('leave metadata with a dot in its key to the owner and operators', async () => {
    const { id } = await stored({ acl: [{ principal: 'user:7', permissions: ['WRITE'] }] });
    const set = { id, setMetadata: [entry('albums.id', '1')] };
    const remove = { id, removeMetadata: ['albums.id'] };
    for (const update of [set, remove]) {
      await expect(updates.update(actor(7n), update)).rejects.toMatchObject({ reason: 'METADATA_RESERVED' });
    }
    await updates.update(owner, set);
    expect(await metadataOf(id)).toEqual({ 'albums.id': '1' });
    await updates.update(actor(1000n, { isAdmin: true }), remove);
    expect(await metadataOf(id)).toEqual({});
  });

  it('do not reach an asset that got another owner while they waited', async () => {
    const { id } = await stored();
    const getAll = world.assets.getAll.bind(world.assets);
    jest.spyOn(world.assets, 'getAll').mockImplementation(async (...values) => {
      const found = await getAll(...values);
      await world.database.prisma.mediaAsset.update({ where: { assetId: id }, data: { ownerId: 43n } });
      return found;
    });
    const update = updates.update(owner, { id, filename: 'changed', setMetadata: [entry('a')] });
    await expect(update).rejects.toMatchObject({ reason: 'ASSET_NOT_FOUND' });
    expect(await rowOf(id)).toMatchObject({ filename: 'file.txt' });
    expect(await metadataOf(id)).toEqual({});
  });

  it('do not reach an asset whose grant was revoked while they waited', async () => {
    const lasting = { principal: 'user:7', permissions: ['WRITE' as const] };
    const [kept, lost] = [await stored({ acl: [lasting] }), await stored({ acl: [lasting] })];
    const getAll = world.assets.getAll.bind(world.assets);
    jest.spyOn(world.assets, 'getAll').mockImplementationOnce(async (...values) => {
      const found = await getAll(...values);
      await world.database.prisma.assetAcl.deleteMany({ where: { assetId: lost.id } });
      return found;
    });
    const outcomes = await updates.updateAll(
      actor(7n),
      [kept, lost].map(({ id }) => ({ id, filename: 'changed' })),
    );
    expect(outcomes).toMatchObject([{ filename: 'changed' }, { reason: 'ASSET_NOT_FOUND' }]);
    expect((await world.asset(lost.id)).filename).toBe('file.txt');
  });

  it('are refused for missing and deleted assets', async () => {
    const { id } = await stored();
    await world.removal.delete(owner, id);
    const update = (id: string) => updates.update(owner, { id, filename: 'changed' });
    await expect(update(id)).rejects.toMatchObject({ kind: 'conflict', reason: 'ASSET_DELETED' });
    await world.removal.restore(owner, id);
    expect(await update(id)).toMatchObject({ status: 'READY', filename: 'changed' });
    for (const missing of [UNKNOWN, 'x', "'; drop table media_assets --"]) {
      await expect(update(missing)).rejects.toMatchObject({ reason: 'ASSET_NOT_FOUND' });
    }
  });

  it('are possible while the asset waits for bytes and after it ended without bytes', async () => {
    const { id } = await world.request('never sent');
    expect(await updates.update(owner, { id, filename: 'pending' })).toMatchObject({ status: 'PENDING' });
    expect(await world.uploads.cancel(owner, id)).toMatchObject({ filename: 'pending' });
    expect(await updates.update(owner, { id, filename: 'cancelled' })).toMatchObject({ status: 'CANCELLED' });
  });

  it('keep the result of a worker that has read the asset before', async () => {
    const { id, job } = await world.received('processed meanwhile', {}, owner);
    const accept = world.transitions.accept.bind(world.transitions);
    const spy = jest.spyOn(world.transitions, 'accept').mockImplementation(async (...values) => {
      await updates.update(owner, { id, filename: 'renamed', setMetadata: [entry('a')] });
      return accept(...values);
    });
    await world.process(job);
    expect(spy).toHaveBeenCalledTimes(1);
    expect(await world.asset(id)).toMatchObject({ status: 'READY', filename: 'renamed' });
    expect(await metadataOf(id)).toEqual({ a: 'v' });
  });

  it('survive the end of processing that runs at the same time', async () => {
    for (let round = 0; round < 10; round++) {
      const { id, job } = await world.received(`raced ${round}`, {}, owner);
      const [updated] = await Promise.all([
        updates.update(owner, { id, filename: `new ${round}` }),
        world.process(job),
      ]);
      expect(updated.filename).toBe(`new ${round}`);
      expect(await world.asset(id)).toMatchObject({ status: 'READY', filename: `new ${round}` });
    }
  });

  it('do not extend the time for which a FAILED asset keeps its bytes', async () => {
    const { id } = await world.received('failed long ago', {}, owner);
    const failedAt = new Date(Date.now() - 8 * DAY_MS);
    const letter = { source: 'process-asset', assetId: id, error: 'e', attempts: 5, payload: '{}' };
    const reason = { code: 'PROCESSING_FAILED' as const, message: 'm' };
    expect(await world.transitions.fail(await world.asset(id), reason, letter, failedAt)).toBe(true);
    const { version } = await world.asset(id);
    const updated = await updates.update(owner, { id, filename: 'renamed' });
    // Subscriptions compare both values.
    expect(updated).toMatchObject({ updatedAt: failedAt, version: version + 1 });
    expect(await world.transitions.lapse(updated, new Date())).toBe(true);
    expect(await world.asset(id)).toMatchObject({ status: 'EXPIRED', filename: 'renamed' });
  });

  it('give each change its own time, even with a clock that is behind', async () => {
    const { id } = await stored();
    const later = new Date(Date.now() + DAY_MS);
    await world.database.prisma.mediaAsset.update({ where: { assetId: id }, data: { updatedAt: later } });
    const times: number[] = [later.getTime()];
    for (const filename of ['a', 'b']) {
      times.push((await updates.update(owner, { id, filename })).updatedAt.getTime());
    }
    expect(times).toEqual([times[0], times[0]! + 1, times[0]! + 2]);
  });

  it('apply concurrent changes one after the other', async () => {
    const { id } = await stored();
    const values = Array.from({ length: 20 }, (_, index) => String(index));
    await Promise.all(
      values.map((value) =>
        updates.update(owner, {
          id,
          filename: value,
          setMetadata: [entry('same', value), entry(`own${value}`)],
        }),
      ),
    );
    const { filename } = await world.asset(id);
    const metadata = await metadataOf(id);
    expect(metadata.same).toBe(filename);
    expect(Object.keys(metadata)).toHaveLength(21);
    expect(await countUpdates(id)).toBe(20);
  });

  it('never exceed 64 metadata entries together', async () => {
    const { id } = await stored({ metadata: entries(60) });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 12 }, (_, index) =>
        updates.update(owner, { id, setMetadata: [entry(`new${index}`)] }),
      ),
    );
    const refused = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [outcome.reason as unknown] : [],
    );
    expect(refused).toHaveLength(8);
    for (const error of refused) expect(error).toMatchObject({ kind: 'invalid', reason: 'METADATA_INVALID' });
    expect(Object.keys(await metadataOf(id))).toHaveLength(64);
  });

  it('leave no rows behind when the asset is purged at the same time', async () => {
    for (let round = 0; round < 10; round++) {
      const { id } = await stored();
      const update = updates.update(owner, { id, filename: 'late', setMetadata: [entry('a')] });
      const [updated] = await Promise.allSettled([update, world.removal.purge(owner, id)]);
      if (updated.status === 'rejected') {
        expect(['ASSET_NOT_FOUND', 'ASSET_DELETED']).toContain((updated.reason as StowageError).reason);
      }
      expect(await rowOf(id)).toBeNull();
      expect(await world.database.prisma.assetMetadata.count({ where: { assetId: id } })).toBe(0);
    }
  });

  it('store hostile values unchanged', async () => {
    const { id } = await stored();
    const values = {
      sql: `'); delete from media_assets; --`,
      json: '{"a": [1, "\\u0000"]} \\ "',
      unicode: '👩‍👩‍👧 \u2028 ­ ﷽',
      long: 'ü'.repeat(2048),
      empty: '',
    };
    const setMetadata = Object.entries(values).map(([key, value]) => entry(key, value));
    await updates.update(owner, { id, setMetadata });
    expect(await metadataOf(id)).toEqual(values);
  });

  describe('of several assets', () => {
    it('are accepted and refused independently, in order', async () => {
      const [one, two, full] = await Promise.all([stored(), stored(), stored({ metadata: entries(64) })]);
      const others = await stored({}, actor(43n));
      const refused = unavailable('CLOCK_OFFSET', 'refused before');
      const outcomes = await updates.updateAll(owner, [
        { id: two.id, filename: 'first' },
        { id: UNKNOWN, filename: 'x' },
        { id: one.id, filename: '..' },
        refused,
        { id: full.id, filename: 'full', setMetadata: [entry('one-more')] },
        { id: others.id, filename: 'x' },
        { id: two.id, filename: 'second', setMetadata: [entry('a')] },
      ]);
      expect(reasonsOf(outcomes)).toEqual([
        'second',
        'ASSET_NOT_FOUND',
        'FILENAME_INVALID',
        'CLOCK_OFFSET',
        'METADATA_INVALID',
        'ASSET_NOT_FOUND',
        'second',
      ]);
      for (const { id } of [one, full, others]) {
        expect((await world.asset(id)).filename).toBe('file.txt');
        expect(await countUpdates(id)).toBe(0);
      }
      expect(await countUpdates(two.id)).toBe(1);
      expect(await metadataOf(two.id)).toEqual({ a: 'v' });
    });

    it('take the same number of statements for 100 assets as for one', async () => {
      const assets = await Promise.all(Array.from({ length: 100 }, () => world.request(`many ${number++}`)));
      const query = jest.spyOn(world.database, 'query');
      const change = async (count: number) => {
        query.mockClear();
        await updates.updateAll(
          owner,
          assets
            .slice(0, count)
            .map(({ id }) => ({ id, filename: `${count}`, setMetadata: [entry('a', `${count}`)] })),
        );
        return query.mock.calls.filter(([{ name }]) => /^assets_/.test(name)).length;
      };
      expect([await change(1), await change(100)]).toEqual([4, 4]);
      const names = await Promise.all(assets.map(async ({ id }) => (await world.asset(id)).filename));
      expect(new Set(names)).toEqual(new Set(['100']));
    });

    it('do not block each other for ever in opposite orders', async () => {
      const assets = await Promise.all([stored(), stored(), stored()]);
      const ids = assets.map(({ id }) => id);
      const rounds = Array.from({ length: 10 }, (_, round) => {
        const order = round % 2 === 0 ? ids : ids.toReversed();
        return updates.updateAll(
          owner,
          order.map((id) => ({ id, filename: `round ${round}` })),
        );
      });
      for (const outcomes of await Promise.all(rounds)) {
        for (const outcome of outcomes) expect(outcome).not.toBeInstanceOf(StowageError);
      }
    });

    it('change nothing when the database fails before the end', async () => {
      const [one, two] = await Promise.all([stored(), stored()]);
      const query = world.database.query.bind(world.database);
      jest.spyOn(world.database, 'query').mockImplementation(async (statement, values, tx) => {
        const rows = await query(statement, values, tx);
        if (statement.name === 'assets_update_write') throw unavailable('DATABASE_UNAVAILABLE', 'down');
        return rows;
      });
      const inputs = [one, two].map(({ id }) => ({ id, filename: 'lost' }));
      await expect(updates.updateAll(owner, inputs)).rejects.toMatchObject({ kind: 'unavailable' });
      jest.restoreAllMocks();
      for (const { id } of [one, two]) expect((await world.asset(id)).filename).toBe('file.txt');
      expect(reasonsOf(await updates.updateAll(owner, inputs))).toEqual(['lost', 'lost']);
    });

    it.each([0, 101])('are refused for %i items', async (count) => {
      const inputs = Array.from({ length: count }, () => ({ id: UNKNOWN }));
      await expect(updates.updateAll(owner, inputs)).rejects.toMatchObject({ reason: 'BATCH_SIZE' });
    });
  });
});
