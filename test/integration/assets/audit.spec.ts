import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { AssetTransferService } from '#libs/assets';
import { until } from '../../../libs/testing/src/until.js';
import { actor, World } from '../../../libs/testing/src/world.js';
import pg from 'pg';
import { COMPARE_QUOTAS, COMPARE_REFERENCES } from '../../../libs/assets/src/audit.repository.js';
import { inconsistencies } from '../../support/consistency.js';
import { blocksOf, type Plan, SeededDatabase } from '../../support/plans.js';

const DAY_MS = 24 * 3_600_000;
const OPERATOR = actor(999n, { isAdmin: true });

describe('the task audit-counts (real: PostgreSQL, storage emulator)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(() => world?.[Symbol.asyncDispose]());
  afterEach(async () => {
    jest.restoreAllMocks();
    await world.database.prisma.integrityFinding.deleteMany();
    await world.database.prisma.mediaAsset.deleteMany();
    await world.database.prisma.storedObject.deleteMany();
    await world.database.prisma.ownerQuota.deleteMany();
  });

  const audit = async (isDryRun = false, now = new Date()) => {
    const { outcome, failed, actions, examined } = await world.runTask('audit-counts', { isDryRun, now });
    expect({ outcome, failed }).toEqual({ outcome: 'succeeded', failed: 0 });
    return { examined, actions: actions.map(({ action, subject }) => `${action} ${subject}`) };
  };
  const objectOf = (id: bigint | null) =>
    world.database.prisma.storedObject.findUniqueOrThrow({ where: { id: id! } });
  const setObject = (id: bigint | null, data: object) =>
    world.database.prisma.storedObject.update({ where: { id: id! }, data });
  /** Rows of other tests are removed without their events and bytes. */
  const wrongCounts = async () =>
    (await inconsistencies(world.testDatabase.url, world.emulators)).filter((problem) =>
      /^quota of|references/.test(problem),
    );
  const findings = async () => {
    const rows = await world.database.prisma.integrityFinding.findMany({ orderBy: { id: 'asc' } });
    return rows.map(({ problem, subject, detail, repaired }) => [problem, subject, detail, repaired]);
  };

  it('finds nothing among assets in all states', async () => {
    const owner = actor(5n);
    await world.request('pending', {}, owner);
    await world.received('processing', {}, owner);
    await world.upload('ready', {}, owner);
    await world.upload('ready', {}, actor(6n));
    const deleted = await world.upload('deleted', {}, owner);
    await world.removal.delete(owner, deleted.id);
    const cancelled = await world.request('cancelled', {}, owner);
    await world.removal.delete(owner, cancelled.id);
    const purged = await world.upload('purged', {}, owner);
    await world.removal.purge(owner, purged.id);
    expect((await audit()).actions).toEqual([]);
    expect(await findings()).toEqual([]);
    // Objects: three stored, one of them without references. Owners: 5 and 6.
    expect((await audit()).examined).toBe((await world.storedObjects()).length + 2);
  });

  it.each([
    ['too high', 3, 2],
    ['too low', 0, 2],
  ])('corrects a reference count that is %s', async (_, was, is) => {
    const asset = await world.upload('counted');
    await world.upload('counted', {}, actor(1n));
    await setObject(asset.storedObjectId, { refCount: was });
    const expected = [`recount object ${asset.storedObjectId}`];
    expect((await audit(true)).actions).toEqual(expected);
    expect((await objectOf(asset.storedObjectId)).refCount).toBe(was);
    expect(await findings()).toEqual([]);
    expect((await audit()).actions).toEqual(expected);
    expect(await objectOf(asset.storedObjectId)).toMatchObject({ refCount: is, pinnedUntil: null });
    const detail = `The reference count was ${was}, and is ${is}.`;
    expect(await findings()).toEqual([['REF_COUNT_DRIFT', `object ${asset.storedObjectId}`, detail, true]]);
    expect((await audit()).actions).toEqual([]);
    expect(await wrongCounts()).toEqual([]);
  });

  it('makes an object collectable whose references are gone, after the restore window', async () => {
    const asset = await world.upload('leaked');
    await world.database.prisma.mediaAsset.delete({ where: { assetId: asset.id } });
    const now = new Date();
    await audit(false, now);
    const pinnedUntil = new Date(now.getTime() + 7 * DAY_MS);
    expect(await objectOf(asset.storedObjectId)).toMatchObject({ state: 'LIVE', refCount: 0, pinnedUntil });
    expect(await world.collection.collect(asset.storedObjectId!, pinnedUntil)).toBe(false);
    expect(await world.collection.collect(asset.storedObjectId!, new Date(pinnedUntil.getTime() + 1))).toBe(
      true,
    );
  });

  it.each(['DELETING', 'QUARANTINED'] as const)(
    'corrects the count of an object that is %s, not its state',
    async (state) => {
      const asset = await world.upload(`counted while ${state}`);
      const pinnedUntil = new Date(Date.now() + 1_000);
      await setObject(asset.storedObjectId, { state, refCount: 5, pinnedUntil });
      await audit();
      expect(await objectOf(asset.storedObjectId)).toMatchObject({ state, refCount: 1, pinnedUntil });
      await world.database.prisma.mediaAsset.delete({ where: { assetId: asset.id } });
      await audit();
      // The pin of an object in DELETING is the lease of its collector.
      expect(await objectOf(asset.storedObjectId)).toMatchObject({ state, refCount: 0, pinnedUntil });
    },
  );

  it('corrects the usage of owners, and adds the row of one that has none', async () => {
    const [first, second, third] = [actor(11n), actor(12n), actor(13n)];
    await world.upload('12 bytes: ab', {}, first);
    await world.request('reserved', {}, first);
    await world.upload('second', {}, second);
    await world.upload('third', {}, third);
    const { prisma } = world.database;
    const right = await prisma.ownerQuota.findMany({ orderBy: { ownerId: 'asc' } });
    await prisma.ownerQuota.update({
      where: { ownerId: 11n },
      data: { usedBytes: 1n, usedAssets: 2, reservedBytes: 3n, reservedAssets: 4, limitBytes: 1_000n },
    });
    await prisma.ownerQuota.delete({ where: { ownerId: 13n } });
    await prisma.ownerQuota.create({ data: { ownerId: 14n, usedBytes: 5n, usedAssets: 1 } });
    const expected = ['recount owner 11', 'recount owner 13', 'recount owner 14'];
    expect((await audit(true)).actions).toEqual(expected);
    expect((await audit()).actions).toEqual(expected);
    const empty = { usedBytes: 0n, usedAssets: 0, reservedBytes: 0n, reservedAssets: 0, limitAssets: null };
    expect(await prisma.ownerQuota.findMany({ orderBy: { ownerId: 'asc' } })).toEqual([
      { ...right[0], limitBytes: 1_000n },
      right[1],
      right[2],
      { ...empty, ownerId: 14n, limitBytes: null },
    ]);
    // Several corrections run at a time.
    expect((await findings()).find(([, subject]) => subject === 'owner 11')).toEqual([
      'QUOTA_DRIFT',
      'owner 11',
      'The usage was 1 bytes in 2 assets, and 3 reserved bytes in 4; it is 12 bytes in 1 assets, and 8 reserved bytes in 1.',
      true,
    ]);
    expect((await audit()).actions).toEqual([]);
  });

  it('reads pages, and continues from the cursor', async () => {
    const { prisma } = world.database;
    const object = { crc32c: 'AAAAAA==', sizeBytes: 1, state: 'LIVE' as const, createdAt: new Date() };
    const data = Array.from({ length: 2_100 }, (_, n) => ({
      ...object,
      sha256: String(n).padStart(64, '0'),
    }));
    // Popular objects end a page early.
    for (const n of [5, 6, 2_050]) Object.assign(data[n]!, { refCount: 150_000 });
    await prisma.storedObject.createMany({ data });
    await prisma.ownerQuota.createMany({
      data: Array.from({ length: 1_050 }, (_, n) => ({
        ownerId: BigInt(n),
        usedAssets: n === 1_040 ? 1 : 0,
      })),
    });
    const ids = (await world.storedObjects()).map(({ id }) => id);
    const expected = [...[5, 6, 2_050].map((n) => `recount object ${ids[n]}`), 'recount owner 1040'];
    expect(await audit(true)).toEqual({ examined: 3_150, actions: expected });
    expect(await audit()).toEqual({ examined: 3_150, actions: expected });
  });

  describe('beside other transactions', () => {
    /** Waits until a statement waits for a lock. */
    const untilBlocked = () =>
      until('a statement waits for a lock', async () => {
        const [{ count }] = await world.database.prisma.$queryRaw<[{ count: bigint }]>`
          select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
        return count > 0n || null;
      });

    /** Runs `work` once, before the audit executes a statement. */
    function beforeStatement(name: string, work: () => Promise<unknown>) {
      const query = world.database.query.bind(world.database);
      let isDone = false;
      jest.spyOn(world.database, 'query').mockImplementation(async (text, values, tx) => {
        if (text.name === name && !isDone) {
          isDone = true;
          await work();
        }
        return query(text, values, tx);
      });
      return () => expect(isDone).toBe(true);
    }

    const OWNER = actor(21n);
    const ofOwner = { where: { ownerId: OWNER.ownerId } };
    /** Real changes of one more asset of the owner, which has these bytes. */
    const CHANGES = ['purge', 'upload', 'transfer', 'reservation', 'expiry'] as const;
    type Change = (typeof CHANGES)[number];
    const prepare = async (change: Change, bytes: string): Promise<() => Promise<unknown>> => {
      switch (change) {
        case 'purge': {
          const { id } = await world.upload(bytes, {}, OWNER);
          return () => world.removal.purge(OWNER, id);
        }
        case 'upload': {
          const { job } = await world.received(bytes, {}, OWNER);
          return () => world.process(job);
        }
        case 'transfer': {
          const { id } = await world.upload(bytes, {}, OWNER);
          return () => world.module.get(AssetTransferService).transfer(OPERATOR, id, 22n);
        }
        case 'reservation':
          return () => world.request(`new ${bytes}`, {}, OWNER);
        case 'expiry': {
          const { id } = await world.request(bytes, {}, OWNER);
          return () => world.removal.delete(OWNER, id);
        }
      }
    };

    it.each(['purge', 'upload'] as const)(
      'lets a transaction (%s) change the count that waits for the lock of the audit',
      async (change) => {
        const bytes = `waits: ${change}`;
        const first = await world.upload(bytes, {}, actor(1n));
        const run = await prepare(change, bytes);
        await setObject(first.storedObjectId, { refCount: 7 });
        let work: Promise<unknown> = Promise.resolve();
        const isChecked = beforeStatement('audit_correct_references', async () => {
          work = run();
          await untilBlocked();
        });
        expect((await audit()).actions).toEqual([`recount object ${first.storedObjectId}`]);
        isChecked();
        await work;
        expect((await objectOf(first.storedObjectId)).refCount).toBe(change === 'purge' ? 1 : 2);
        expect(await wrongCounts()).toEqual([]);
        expect(await findings()).toHaveLength(1);
      },
    );

    it.each(CHANGES)(
      'lets a transaction (%s) change the usage that waits for the lock of the audit',
      async (change) => {
        await world.upload('used by the owner', {}, OWNER);
        const run = await prepare(change, `waits for usage: ${change}`);
        await world.database.prisma.ownerQuota.update({
          ...ofOwner,
          data: { usedBytes: 70n, reservedAssets: 7 },
        });
        let work: Promise<unknown> = Promise.resolve();
        const isChecked = beforeStatement('audit_correct_quota', async () => {
          work = run();
          await untilBlocked();
        });
        expect((await audit()).actions).toEqual(['recount owner 21']);
        isChecked();
        await work;
        expect((await audit()).actions).toEqual([]);
        expect(await findings()).toHaveLength(1);
      },
    );

    it('counts after a transaction that holds the lock has committed', async () => {
      const asset = await world.upload('holds the lock', {}, OWNER);
      await world.upload('holds the lock', {}, actor(1n));
      await setObject(asset.storedObjectId, { refCount: 7 });
      await world.database.prisma.ownerQuota.update({ ...ofOwner, data: { usedAssets: 7 } });
      await using other = await connect();
      await other.client.query('begin');
      await other.client.query('delete from media_assets where asset_id = $1', [asset.id]);
      await other.client.query('update stored_objects set ref_count = ref_count - 1 where id = $1', [
        asset.storedObjectId,
      ]);
      await other.client.query(
        'update owner_quotas set used_bytes = used_bytes - 14, used_assets = used_assets - 1 where owner_id = 21',
      );
      const audited = audit();
      await untilBlocked();
      await other.client.query('commit');
      expect((await audited).actions).toEqual([`recount object ${asset.storedObjectId}`, 'recount owner 21']);
      expect((await objectOf(asset.storedObjectId)).refCount).toBe(1);
      expect(await world.quotas.of(21n)).toMatchObject({ usedBytes: 0, usedAssets: 0 });
    });

    it('finds nothing while a transaction has changed an asset and waits for the quota', async () => {
      const asset = await world.upload('waits for the quota', {}, OWNER);
      await using other = await connect();
      await other.client.query('begin');
      await other.client.query('select from owner_quotas where owner_id = 21 for update');
      const purging = world.removal.purge(OWNER, asset.id);
      await untilBlocked();
      expect((await audit()).actions).toEqual([]);
      await other.client.query('commit');
      await purging;
      expect((await audit()).actions).toEqual([]);
      expect(await findings()).toEqual([]);
    });

    it.each(['audit_lock_object', 'audit_lock_quota'])(
      'records nothing when the difference is gone: %s',
      async (statement) => {
        const asset = await world.upload('corrected meanwhile', {}, OWNER);
        const correct = async (by: number) => {
          await setObject(asset.storedObjectId, { refCount: { increment: by } });
          await world.database.prisma.ownerQuota.update({
            ...ofOwner,
            data: { usedAssets: { increment: by } },
          });
        };
        await correct(1);
        if (statement === 'audit_lock_quota') await setObject(asset.storedObjectId, { refCount: 1 });
        else await world.database.prisma.ownerQuota.update({ ...ofOwner, data: { usedAssets: 1 } });
        const isChecked = beforeStatement(statement, () =>
          statement === 'audit_lock_quota'
            ? world.database.prisma.ownerQuota.update({ ...ofOwner, data: { usedAssets: 1 } })
            : setObject(asset.storedObjectId, { refCount: 1 }),
        );
        expect((await audit()).actions).toEqual([]);
        isChecked();
        expect(await findings()).toEqual([]);
      },
    );
  });

  async function connect() {
    const client = new pg.Client({ connectionString: world.testDatabase.url });
    await client.connect();
    return { client, [Symbol.asyncDispose]: () => client.end() };
  }
});

const OBJECTS = 20_000;
const OWNERS = 5_000;

/** Each owner has four assets, and each object one reference; one object has more references than a page counts. */
const SEED = `
  set session_replication_role = replica;
  insert into stored_objects (id, sha256, crc32c, size_bytes, ref_count, state, created_at)
    select n, lpad(n::text, 64, '0'), 'AAAAAA==', 1, 1, 'LIVE', now() from generate_series(1, ${OBJECTS}) n;
  insert into media_assets (asset_id, owner_id, bucket, object_key, filename, mime_type, declared_type, size_bytes, checksum_sha256,
      status, stored_object_id, upload_method, request_id, url_expires_at, upload_deadline_at, next_check_at, created_at, updated_at)
    select lpad(to_hex(n * 7919::bigint), 32, '0')::uuid, 1 + n % ${OWNERS}, 'content', 'k', 'f', 'text/plain', 'text/plain', 1,
      lpad(n::text, 64, '0'), 'READY', n, 'PUT', 'r', now(), now(), now(), now(), now() from generate_series(1, ${OBJECTS}) n;
  insert into owner_quotas (owner_id, used_bytes, used_assets) select n, 4, 4 from generate_series(1, ${OWNERS}, 2) n;
  reset session_replication_role`;

describe('statements of the audit (real: PostgreSQL)', () => {
  let database: SeededDatabase;
  beforeAll(async () => {
    database = await SeededDatabase.create(SEED);
  });
  afterAll(() => database?.[Symbol.asyncDispose]());

  const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];

  it.each([
    ['reference counts', COMPARE_REFERENCES.text, OBJECTS / 2, 1_000, 0],
    ['quotas', COMPARE_QUOTAS.text, OWNERS / 2, 1_000, 500],
  ])('reads only the assets of a page of %s', async (_, text, after, examined, differing) => {
    const { rows } = await database.client.query<{ last: string; examined: number; differing: string[] }>(
      text,
      [after],
    );
    expect(rows[0]).toMatchObject({ last: String(after + 1_000), examined });
    expect(rows[0]!.differing).toHaveLength(differing);
    const plan = await database.explain(text, [after]);
    expect(blocksOf(plan)).toBeLessThan(30_000);
    for (const node of nodesOf(plan)) expect(node['Node Type']).not.toBe('Seq Scan');
  });
});
