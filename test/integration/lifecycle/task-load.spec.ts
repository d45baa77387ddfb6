import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { unavailable } from '#libs/domain';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { CONTENT, World } from '../../../libs/testing/src/world.js';
import { requests } from './due-uploads.js';

const BATCH = 100;
const SHARE = 1_000;
const HOUR_MS = 3_600_000;

describe('tasks over more than one page (real: PostgreSQL, storage emulator)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start();
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await world.database.prisma.mediaAsset.deleteMany();
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  const due = (ownerId: bigint) =>
    world.database.prisma.mediaAsset.count({ where: { ownerId, nextCheckAt: { lte: new Date() } } });

  it('checks every due asset, several at a time', async () => {
    for (const owner of [1, 2, 3]) await world.database.pool.query(requests(owner, BATCH));
    const stat = world.incoming.stat.bind(world.incoming);
    let [now, most] = [0, 0];
    jest.spyOn(world.incoming, 'stat').mockImplementation(async (assetId) => {
      most = Math.max(most, (now += 1));
      return stat(assetId).finally(() => (now -= 1));
    });
    const run = await world.runTask('reconcile-uploads');
    expect(run).toMatchObject({ outcome: 'succeeded', examined: 3 * BATCH, failed: 0 });
    expect([now, most]).toEqual([0, 8]);
  });

  it.each(['reconcile-uploads', 'expire-uploads', 'remove-incoming'])(
    'does not make one owner wait for the thousands of another: %s',
    async (task) => {
      jest.spyOn(world.incoming, 'stat').mockResolvedValue(null);
      jest.spyOn(world.incoming, 'discard').mockResolvedValue(false);
      jest.spyOn(world.completion, 'expire').mockResolvedValue(false);
      for (const [owner, count] of [
        [1, 2 * SHARE],
        [2, 1],
      ] as const) {
        await world.database.pool.query(requests(owner, count));
      }
      await world.database.pool.query(`update media_assets set next_check_at = now() where owner_id = 2`);
      if (task === 'expire-uploads') {
        await world.database.pool.query(`update media_assets set upload_deadline_at = now()`);
      }
      if (task === 'remove-incoming') {
        await world.database.prisma.mediaAsset.updateMany({
          data: { status: 'CANCELLED', incomingPresent: true },
        });
      }
      expect(await world.runTask(task, { isDryRun: true })).toMatchObject({ examined: SHARE + 1 });
      expect(await world.runTask(task)).toMatchObject({ examined: SHARE + 1, failed: 0 });
      expect([await due(1n), await due(2n)]).toEqual([SHARE, 0]);
      // The next run checks the rest.
      expect(await world.runTask(task)).toMatchObject({ examined: SHARE });
      expect(await due(1n)).toBe(0);
    },
  );

  it('stops between two rows when aborted', async () => {
    await world.database.pool.query(requests(1, 3 * BATCH));
    const stopping = new AbortController();
    let checks = 0;
    jest.spyOn(world.incoming, 'stat').mockImplementation(() => {
      if ((checks += 1) === 20) stopping.abort();
      return Promise.resolve(null);
    });
    const run = await world.runTask('reconcile-uploads', { signal: stopping.signal });
    expect(run.outcome).toBe('aborted');
    expect(run.examined).toBeLessThan(30);
    expect(await due(1n)).toBe(2 * BATCH);
  });

  it('ends when storage is down and continues when single rows fail', async () => {
    await world.database.pool.query(requests(1, 3 * BATCH));
    const stat = jest
      .spyOn(world.incoming, 'stat')
      .mockRejectedValue(unavailable('STORAGE_UNAVAILABLE', 'x'));
    expect(await world.runTask('reconcile-uploads')).toMatchObject({ outcome: 'unavailable', changed: 0 });
    expect(stat.mock.calls.length).toBeLessThan(30);
    // Only the first page was taken.
    expect(await due(1n)).toBe(2 * BATCH);
    stat.mockRejectedValue(new Error('a bug'));
    const rest = 2 * BATCH;
    expect(await world.runTask('reconcile-uploads')).toMatchObject({
      outcome: 'succeeded',
      examined: rest,
      failed: rest,
    });
  });

  it('collects objects that follow a batch of undeletable ones', async () => {
    for (let n = 0; n < BATCH + 1; n++) await storeAsset(world.database);
    await world.database.prisma.mediaAsset.deleteMany();
    await world.database.prisma.storedObject.updateMany({ data: { refCount: 0 } });
    const objects = await world.storedObjects();
    const last = objects.at(-1)!.copies[0]!;
    const error = unavailable('STORAGE_UNAVAILABLE', 'x');
    jest.spyOn(world.store, 'delete').mockImplementation(async ({ bucket, key }) => {
      if (bucket !== CONTENT || key !== last.key) throw error;
      return Promise.resolve(true);
    });
    // Each run ends after the first of them, which are put off.
    for (let outcome = 'unavailable'; outcome === 'unavailable';) {
      ({ outcome } = await world.runTask('remove-unreferenced'));
    }
    expect((await world.storedObjects()).map(({ id }) => id)).toEqual(
      objects.slice(0, -1).map(({ id }) => id),
    );
    jest.restoreAllMocks();
    await world.runTask('remove-unreferenced', { now: new Date(Date.now() + HOUR_MS) });
    expect(await world.storedObjects()).toEqual([]);
  });

  it('quarantines objects that follow immovable ones', async () => {
    for (let n = 0; n < 25; n++) await storeAsset(world.database);
    await world.database.prisma.mediaAsset.deleteMany();
    const objects = await world.storedObjects();
    for (const { id } of objects) await world.stored.markInfected({ id });
    const last = objects.at(-1)!.id;
    const removeBytes = world.quarantine.removeBytes.bind(world.quarantine);
    jest.spyOn(world.quarantine, 'removeBytes').mockImplementation((object) => {
      return object.id === last ? removeBytes(object) : Promise.reject(new Error('forbidden'));
    });
    expect(await world.runTask('quarantine')).toMatchObject({ outcome: 'succeeded', failed: 24, changed: 1 });
    const left = await world.stored.unfinishedQuarantines(0n, 100);
    expect(left.map(({ id }) => id)).toEqual(objects.slice(0, -1).map(({ id }) => id));
  });
});
