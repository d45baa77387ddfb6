import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { unavailable } from '#libs/domain';
import { TAKE_ABANDONED, TAKE_UNFINISHED } from '../../../libs/assets/src/due-assets.repository.js';
import { COLLECTABLE } from '../../../libs/content/src/stored-objects.repository.js';
import { type Plan, SeededDatabase } from '../../support/plans.js';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { CONTENT, World } from '../../../libs/testing/src/world.js';

const BATCH = 100;
const SHARE = 1_000;
const HOUR_MS = 3_600_000;

/** Inserts uploads without bytes; their next check is due, their deadline is far away. */
const requests = (owner: number, count: number, first = 1) => `
  insert into media_assets (asset_id, owner_id, bucket, object_key, filename, mime_type, declared_type, size_bytes,
      checksum_sha256, status, upload_method, request_id, url_expires_at, upload_deadline_at, next_check_at, created_at,
      updated_at)
    select ('0190${owner.toString().padStart(4, '0')}-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, ${owner}, 'b', 'k',
      'f', 'image/jpeg', 'image/jpeg', 1, repeat('0', 64), 'PENDING', 'RESUMABLE', 'r', now(), now() + interval '7 days',
      now() - interval '1 hour' / (${owner} + n), now() - interval '1 day', now()
    from generate_series(${first}, ${first + count - 1}) n`;

describe('sweeps over more than one batch (real: PostgreSQL, storage emulator)', () => {
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
    const checkObject = world.completion.checkObject.bind(world.completion);
    let [now, most] = [0, 0];
    jest.spyOn(world.completion, 'checkObject').mockImplementation(async (key) => {
      most = Math.max(most, (now += 1));
      return checkObject(key).finally(() => (now -= 1));
    });
    expect(await world.sweeper.sweepUnfinished(new Date())).toEqual({ examined: 3 * BATCH, failed: 0 });
    expect([now, most]).toEqual([0, 8]);
  });

  it.each(['sweepUnfinished', 'sweepAbandoned'] as const)(
    'does not make one owner wait for the thousands of another: %s',
    async (sweep) => {
      jest.spyOn(world.completion, 'checkObject').mockResolvedValue('nothing-there');
      jest.spyOn(world.incoming, 'discard').mockResolvedValue();
      for (const [owner, count] of [
        [1, 2 * SHARE],
        [2, 1],
      ] as const) {
        await world.database.pool.query(requests(owner, count));
      }
      await world.database.pool.query(`update media_assets set next_check_at = now() where owner_id = 2`);
      if (sweep === 'sweepAbandoned') {
        await world.database.prisma.mediaAsset.updateMany({
          data: { status: 'CANCELLED', incomingPresent: true },
        });
      }
      expect(await world.sweeper[sweep](new Date())).toEqual({ examined: SHARE + 1, failed: 0 });
      expect([await due(1n), await due(2n)]).toEqual([SHARE, 0]);
      // The next sweep checks the rest.
      expect(await world.sweeper[sweep](new Date())).toMatchObject({ examined: SHARE });
      expect(await due(1n)).toBe(0);
    },
  );

  it('stops between two rows when aborted', async () => {
    await world.database.pool.query(requests(1, 3 * BATCH));
    const stopping = new AbortController();
    let checks = 0;
    jest.spyOn(world.completion, 'checkObject').mockImplementation(async () => {
      if ((checks += 1) === 20) stopping.abort();
      return Promise.resolve('nothing-there');
    });
    const { examined } = await world.sweeper.sweepUnfinished(new Date(), stopping.signal);
    expect(examined).toBeLessThan(30);
    expect(await due(1n)).toBe(2 * BATCH);
  });

  it('ends when storage is down and continues when single rows fail', async () => {
    await world.database.pool.query(requests(1, 3 * BATCH));
    const checkObject = jest
      .spyOn(world.completion, 'checkObject')
      .mockRejectedValue(unavailable('STORAGE_UNAVAILABLE', 'x'));
    expect(await world.sweeper.sweepUnfinished(new Date())).toEqual({ examined: BATCH, failed: BATCH });
    checkObject.mockRejectedValue(new Error('a bug'));
    const rest = 2 * BATCH;
    expect(await world.sweeper.sweepUnfinished(new Date())).toEqual({ examined: rest, failed: rest });
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
    await world.sweeper.sweepObjects(new Date());
    await world.sweeper.sweepObjects(new Date());
    expect((await world.storedObjects()).map(({ id }) => id)).toEqual(
      objects.slice(0, -1).map(({ id }) => id),
    );
    jest.restoreAllMocks();
    await world.sweeper.sweepObjects(new Date(Date.now() + HOUR_MS));
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
    await world.infectedContent.resume(new Date());
    const left = await world.stored.unfinishedQuarantines(0n, 100);
    expect(left.map(({ id }) => id)).toEqual(objects.slice(0, -1).map(({ id }) => id));
  });
});

const READY = 20_000;
const DUE = 5_000;
const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];

describe('query plans of the sweeps (real: PostgreSQL)', () => {
  let database: SeededDatabase;
  beforeAll(async () => {
    const ready = requests(3, READY).replace("'PENDING'", "'CANCELLED'");
    const late = new Date(Date.now() + HOUR_MS).toISOString();
    database = await SeededDatabase.create(`
      ${requests(1, 2 * DUE)}; ${requests(2, 10)}; ${ready};
      update media_assets set status = 'CANCELLED', incoming_present = true where owner_id = 1 and right(asset_id::text, 1) < '8';
      update media_assets set next_check_at = '${late}' where owner_id = 2;
      insert into stored_objects (scope, sha256, crc32c, size_bytes, state, pinned_until, created_at)
        select '', lpad(n::text, 64, '0'), 'AAAAAA==', 1, 'LIVE', case when n % 2 = 0 then now() - interval '1 hour' end, now()
        from generate_series(1, ${DUE}) n`);
  });
  afterAll(() => database?.[Symbol.asyncDispose]());

  describe.each(['force_custom_plan', 'force_generic_plan'])('%s', (mode) => {
    it.each([
      ['unfinished', TAKE_UNFINISHED],
      ['incoming_waste', TAKE_ABANDONED],
    ] as const)('reads only due rows: %s', async (what, { name, text }) => {
      await database.client.query(`set plan_cache_mode = ${mode}`);
      await database.client.query(`prepare ${name} as ${text}`);
      for (const [skippedOwners, read] of [
        ['{}', BATCH],
        ['{1}', DUE],
      ] as const) {
        await database.client.query('begin');
        const plan = await database.explain(`execute ${name}(now(), ${BATCH}, '${skippedOwners}')`);
        await database.client.query('rollback');
        const nodes = nodesOf(plan);
        expect(nodes.map((node) => node['Node Type'])).not.toContain('Seq Scan');
        const due = nodes.find((node) => node['Index Name'] === `media_assets_${what}_idx`)!;
        expect(due['Actual Rows'] + (due['Rows Removed by Filter'] ?? 0)).toBeLessThanOrEqual(read);
      }
      await database.client.query(`deallocate ${name}`);
    });

    it('reads only the objects to collect next', async () => {
      await database.client.query(`set plan_cache_mode = ${mode}`);
      await database.client.query(`prepare ${COLLECTABLE.name} as ${COLLECTABLE.text}`);
      const plan = await database.explain(`execute ${COLLECTABLE.name}(now(), ${BATCH})`);
      await database.client.query(`deallocate ${COLLECTABLE.name}`);
      const read = nodesOf(plan).find((node) => node['Index Name'] === 'stored_objects_unreferenced_idx')!;
      expect(read['Actual Rows'] + (read['Rows Removed by Filter'] ?? 0)).toBeLessThanOrEqual(BATCH);
    });
  });
});
