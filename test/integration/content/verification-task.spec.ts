import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Asset } from '#libs/assets';
import { ContentStoreConfig, ObjectVerificationService } from '#libs/content';
import { Clock } from '#libs/database';
import { unavailable } from '#libs/domain';
import { DeclaredTasks, TaskRunner } from '#libs/lifecycle';
import { Registry } from 'prom-client';
import {
  OBSOLETE_FINDINGS,
  OLDEST_CHECK,
  UNVERIFIED,
} from '../../../libs/content/src/verification-queue.repository.js';
import { actor, CONTENT, World } from '../../../libs/testing/src/world.js';
import { blocksOf, SeededDatabase } from '../../support/plans.js';

const DAY_MS = 24 * 3_600_000;
const later = (days: number) => new Date(Date.now() + days * DAY_MS);
const ago = (days: number) => later(-days);

describe('the task verify-integrity (real: PostgreSQL, storage emulator)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(() => world?.[Symbol.asyncDispose]());
  afterEach(async () => {
    Object.assign(world.module.get(ContentStoreConfig, { strict: false }), new ContentStoreConfig());
    jest.restoreAllMocks();
    const { prisma } = world.database;
    await prisma.integrityFinding.deleteMany();
    await prisma.mediaAsset.deleteMany();
    await prisma.storedObject.deleteMany();
  });

  const idOf = (asset: Asset) => asset.storedObjectId!;
  const setVerified = (asset: Asset, lastVerifiedAt: Date | null) =>
    world.database.prisma.storedObject.update({ where: { id: idOf(asset) }, data: { lastVerifiedAt } });
  const verifiedAt = async (asset: Asset) =>
    (await world.database.prisma.storedObject.findUniqueOrThrow({ where: { id: idOf(asset) } }))
      .lastVerifiedAt;
  const stateOf = async (asset: Asset) =>
    (await world.database.prisma.storedObject.findUniqueOrThrow({ where: { id: idOf(asset) } })).state;
  const run = async (now = new Date(), isDryRun = false) => {
    const { outcome, failed, actions } = await world.runTask('verify-integrity', { now, isDryRun });
    expect({ outcome, failed }).toEqual({ outcome: 'succeeded', failed: 0 });
    return actions.map(({ action, subject }) => `${action} ${subject}`);
  };
  const config = (set: Partial<ContentStoreConfig>) =>
    Object.assign(world.module.get(ContentStoreConfig, { strict: false }), set);
  const remove = async (asset: Asset) => {
    const at = { bucket: CONTENT, key: asset.objectKey };
    await world.store.delete({ ...at, version: (await world.store.stat(at))!.version });
  };
  const findings = async () => {
    const rows = await world.database.prisma.integrityFinding.findMany({ orderBy: { id: 'asc' } });
    return rows.map(({ problem, subject, repaired }) => [problem, subject, repaired ? 'repaired' : 'open']);
  };

  it('does not read again what an upload has just stored', async () => {
    const start = Date.now();
    const asset = await world.upload('fresh');
    expect((await verifiedAt(asset))!.getTime()).toBeGreaterThan(start - 10_000);
    expect(await run()).toEqual([]);
    expect(await run(later(91))).toEqual([`verify object ${idOf(asset)}`]);
  });

  it('does not count a duplicate, whose bytes were not read from storage, as a verification', async () => {
    const asset = await world.upload('duplicate');
    await setVerified(asset, ago(80));
    const before = await verifiedAt(asset);
    const other = await world.upload('duplicate', {}, actor(1n));
    expect(other.storedObjectId).toBe(asset.storedObjectId);
    expect(await verifiedAt(asset)).toEqual(before);
  });

  it('counts a scan that reads intact bytes as a verification', async () => {
    const asset = await world.upload('scanned');
    await setVerified(asset, null);
    world.scanner.label = `scripted ${Math.random()}`;
    const now = new Date();
    while ((await world.rescan.next(now)) !== null);
    expect(await verifiedAt(asset)).toEqual(now);
  });

  it('verifies the objects that follow many whose bytes cannot be read', async () => {
    const unreadable: Asset[] = [];
    for (let n = 0; n < 25; n++) unreadable.push(await world.upload(`unreadable ${n}`));
    const readable = await world.upload('readable');
    for (const asset of unreadable) await setVerified(asset, null);
    await setVerified(readable, ago(100));
    const keys = new Set(unreadable.map(({ objectKey }) => objectKey));
    const read = world.store.read.bind(world.store);
    jest.spyOn(world.store, 'read').mockImplementation((object, options) => {
      if (!keys.has(object.key)) return read(object, options);
      return new Readable().destroy(unavailable('STORAGE_UNAVAILABLE', 'x'));
    });
    expect(await world.runTask('verify-integrity')).toMatchObject({
      outcome: 'succeeded',
      changed: 1,
      failed: 25,
      actions: [{ action: 'verify', subject: `object ${idOf(readable)}` }],
    });
    expect(await stateOf(unreadable[0]!)).toBe('LIVE');
    // Without any answer of storage, the run ends early.
    jest.spyOn(world.store, 'stat').mockRejectedValue(unavailable('STORAGE_UNAVAILABLE', 'x'));
    expect(await world.runTask('verify-integrity')).toMatchObject({ outcome: 'unavailable', changed: 0 });
  });

  it('verifies the oldest objects first, and lists in a dry run what a real run then does', async () => {
    const assets: Asset[] = [];
    for (const name of ['91 days', '100 days', 'never', '89 days', 'never either']) {
      assets.push(await world.upload(name));
    }
    for (const [at, days] of [91, 100, null, 89, null].entries()) {
      await setVerified(assets[at]!, days === null ? null : ago(days));
    }
    const expected = [2, 4, 1, 0].map((at) => `verify object ${idOf(assets[at]!)}`);
    const times = () => Promise.all(assets.map(verifiedAt));
    const before = await times();
    expect(await run(new Date(), true)).toEqual(expected);
    expect(await times()).toEqual(before);
    expect(await run()).toEqual(expected);
    expect(await run()).toEqual([]);
    expect((await times())[3]).toEqual(before[3]);
  });

  it('reads pages', async () => {
    const { prisma } = world.database;
    const data = Array.from({ length: 205 }, (_, n) => ({
      sha256: String(n).padStart(64, '0'),
      crc32c: 'AAAAAA==',
      sizeBytes: 1,
      state: 'LIVE' as const,
      createdAt: new Date(),
      lastVerifiedAt: n < 103 ? null : ago(100 + (n % 3)),
    }));
    await prisma.storedObject.createMany({ data });
    const verified: bigint[] = [];
    const verify = jest.spyOn(world.module.get(ObjectVerificationService, { strict: false }), 'verify');
    // The first object never succeeds, and the run goes on.
    verify.mockImplementation((id) => {
      verified.push(id);
      return Promise.resolve('changed');
    });
    await run();
    const rows = await prisma.storedObject.findMany({
      orderBy: [{ lastVerifiedAt: { sort: 'asc', nulls: 'first' } }, { id: 'asc' }],
    });
    expect(verified).toEqual(rows.map(({ id }) => id));
  });

  it('waits as long as an object takes at the configured rate', async () => {
    const asset = await world.upload('twelve bytes');
    await setVerified(asset, null);
    config({ verifyBytesPerSecond: 100 });
    const task = world.module.get(DeclaredTasks, { strict: false }).find('verify-integrity')!;
    expect(task.concurrency).toBe(1);
    const context = { now: new Date(), signal: new AbortController().signal, isDryRun: false, cursor: null };
    for await (const step of task.call(context)) expect(step.paceMs).toBe(120);
  });

  it('verifies nothing with VERIFY_DAYS=0, but closes findings that are no longer true', async () => {
    const asset = await world.upload('verified by hand');
    await remove(asset);
    const verification = world.module.get(ObjectVerificationService, { strict: false });
    await verification.verify(idOf(asset), new Date());
    await world.upload('verified by hand', {}, actor(1n));
    const other = await world.upload('never verified');
    await setVerified(other, null);
    config({ verifyDays: 0 });
    expect(await run()).toEqual([`verify object ${idOf(asset)}`]);
    expect(await findings()).toEqual([['MISSING', `object ${idOf(asset)}`, 'repaired']]);
  });

  it('finds damage, stops serving the object, and closes the finding after the next upload', async () => {
    const asset = await world.upload('repaired by an upload');
    await setVerified(asset, null);
    await remove(asset);
    expect(await run()).toEqual([`verify object ${idOf(asset)}`]);
    expect(await stateOf(asset)).toBe('CORRUPT');
    expect(await world.urls.sign(actor(42n), await world.asset(asset.id), 60, 'ATTACHMENT')).toBeNull();
    // The finding is still true, so no further run has work.
    expect(await run()).toEqual([]);
    await world.upload('repaired by an upload', {}, actor(1n));
    expect(await stateOf(asset)).toBe('LIVE');
    expect(await run(new Date(), true)).toEqual([`verify object ${idOf(asset)}`]);
    expect(await findings()).toEqual([['MISSING', `object ${idOf(asset)}`, 'open']]);
    expect(await run()).toEqual([`verify object ${idOf(asset)}`]);
    expect(await findings()).toEqual([['MISSING', `object ${idOf(asset)}`, 'repaired']]);
    expect(await run()).toEqual([]);
  });

  it('verifies an object with two findings that is also due once', async () => {
    const asset = await world.upload('two findings');
    await setVerified(asset, null);
    const found = {
      subject: `object ${idOf(asset)}`,
      storedObjectId: idOf(asset),
      detail: 'x',
      foundAt: new Date(),
    };
    await world.database.prisma.integrityFinding.createMany({
      data: [
        { ...found, problem: 'MISSING' },
        { ...found, problem: 'CORRUPT' },
      ],
    });
    const expected = [`verify object ${idOf(asset)}`];
    expect(await run(new Date(), true)).toEqual(expected);
    expect(await run()).toEqual(expected);
    expect((await findings()).map(([, , state]) => state)).toEqual(['repaired', 'repaired']);
  });

  it('closes the findings of objects that are gone or infected, and no others', async () => {
    const infected = await world.upload('infected later');
    const { prisma } = world.database;
    await prisma.storedObject.update({ where: { id: idOf(infected) }, data: { state: 'QUARANTINED' } });
    const corrupt = await world.upload('corrupt');
    await prisma.storedObject.update({ where: { id: idOf(corrupt) }, data: { state: 'CORRUPT' } });
    const found = { detail: 'x', foundAt: new Date() };
    const of = (id: bigint) => ({ ...found, subject: `object ${id}`, storedObjectId: id });
    const gone = 2n ** 40n;
    await prisma.integrityFinding.createMany({
      data: [
        { ...of(idOf(infected)), problem: 'MISSING' },
        { ...of(gone), problem: 'CORRUPT' },
        { ...of(gone), problem: 'MISSING' },
        { ...of(idOf(corrupt)), problem: 'CORRUPT' },
        { ...found, subject: `variant ${gone}/x`, storedObjectId: gone, problem: 'MISSING' },
        { ...found, subject: 'key bucket/key', problem: 'ORPHAN' },
      ],
    });
    const expected = [`close object ${idOf(infected)}`, `close object ${gone}`];
    expect(await run(new Date(), true)).toEqual(expected);
    expect(await run()).toEqual(expected);
    expect((await findings()).map(([, subject, state]) => [subject, state])).toEqual([
      [`object ${idOf(infected)}`, 'repaired'],
      [`object ${gone}`, 'repaired'],
      [`object ${gone}`, 'repaired'],
      [`object ${idOf(corrupt)}`, 'open'],
      [`variant ${gone}/x`, 'open'],
      ['key bucket/key', 'open'],
    ]);
    expect(await run()).toEqual([]);
  });

  it('asks the database twice at a tick without work', async () => {
    await world.upload('nothing to do');
    const query = jest.spyOn(world.database, 'query');
    const task = world.module.get(DeclaredTasks, { strict: false }).find('verify-integrity')!;
    const isDue = await world.module
      .get(TaskRunner, { strict: false })
      .isDue(task, new Date(), new AbortController().signal);
    expect(isDue).toBe(false);
    expect(query.mock.calls.map(([{ name }]) => name)).toEqual([
      'verification_obsolete_findings',
      'verification_due',
    ]);
  });

  it('shows the age of the oldest check', async () => {
    const oldest = async () => {
      const text = await world.module
        .get(Registry)
        .getSingleMetricAsString('stowage_integrity_oldest_check_seconds');
      const value = /^stowage_integrity_oldest_check_seconds (\S+)$/m.exec(text)?.[1];
      return value && Number(value);
    };
    expect(await oldest()).toBe(0);
    const [first, second] = [await world.upload('older'), await world.upload('younger')];
    await setVerified(first, ago(10));
    await setVerified(second, ago(5));
    const seconds = (days: number) => days * 86_400;
    expect(await oldest()).toBeCloseTo(seconds(10), -3);
    // An object that was never verified counts from its creation.
    await world.database.prisma.storedObject.update({
      where: { id: idOf(second) },
      data: {
        lastVerifiedAt: null,
        createdAt: new Date(world.module.get(Clock).now().getTime() - 20 * DAY_MS),
      },
    });
    expect(await oldest()).toBeCloseTo(seconds(20), -3);
    jest.spyOn(world.database, 'query').mockRejectedValue(new Error('down'));
    expect(await oldest()).toBeUndefined();
  });
});

describe('the task prune-findings (real: PostgreSQL)', () => {
  it('removes old repaired findings and keeps open and recent ones', async () => {
    await using world = await World.start();
    const { prisma } = world.database;
    const found = { problem: 'ORPHAN' as const, detail: 'x', foundAt: ago(200) };
    await prisma.integrityFinding.createMany({
      data: [
        { ...found, subject: 'open' },
        { ...found, subject: 'recent', repaired: true, repairedAt: ago(89) },
        ...Array.from({ length: 1_001 }, (_, n) => ({
          ...found,
          subject: `old ${n}`,
          repaired: true,
          repairedAt: ago(91),
        })),
      ],
    });
    const subjects = async () =>
      (await prisma.integrityFinding.findMany({ orderBy: { id: 'asc' } })).map(({ subject }) => subject);
    const dry = await world.runTask('prune-findings', { isDryRun: true });
    expect(dry).toMatchObject({ outcome: 'succeeded', changed: 1_001 });
    expect(await subjects()).toHaveLength(1_003);
    expect(await world.runTask('prune-findings')).toMatchObject({ outcome: 'succeeded', changed: 1_001 });
    expect(await subjects()).toEqual(['open', 'recent']);
  });
});

const OBJECTS = 50_000;

describe('statements of the verification (real: PostgreSQL)', () => {
  let database: SeededDatabase;
  beforeAll(async () => {
    database = await SeededDatabase.create(`
      insert into stored_objects (id, sha256, crc32c, size_bytes, ref_count, state, created_at, last_verified_at)
        select n, lpad(n::text, 64, '0'), 'AAAAAA==', 1, 1, 'LIVE', now(),
          case when n > ${OBJECTS / 2} then '2026-01-01'::timestamptz + n * interval '1 minute' end
        from generate_series(1, ${OBJECTS}) n;
      insert into integrity_findings (problem, subject, stored_object_id, detail, repaired, found_at, repaired_at)
        select 'CORRUPT', 'object ' || n, n, 'x', n % 1000 > 0, now(), case when n % 1000 > 0 then now() end
        from generate_series(1, ${OBJECTS}) n`);
  });
  afterAll(() => database?.[Symbol.asyncDispose]());

  const verifiedAt = (n: number) => new Date(Date.UTC(2026, 0, 1) + n * 60_000);
  const last = OBJECTS - 500;

  it.each([
    ['the first page', null, 0n, 100],
    ['a page among those never verified', null, 20_000n, 100],
    ['the page where both parts meet', null, BigInt(OBJECTS / 2 - 50), 100],
    ['the last page', verifiedAt(last), BigInt(last), 100],
  ])('reads %s from the index', async (_, time, id, rows) => {
    const plan = await database.explain(UNVERIFIED.text, [100, new Date(), time, id]);
    expect(plan['Actual Rows']).toBe(rows);
    expect(blocksOf(plan)).toBeLessThan(2_000);
  });

  it('finds that no object is due without reading every row', async () => {
    const values = [100, verifiedAt(0), null, BigInt(OBJECTS / 2)];
    const plan = await database.explain(UNVERIFIED.text, values);
    expect(plan['Actual Rows']).toBe(0);
    expect(blocksOf(plan)).toBeLessThan(50);
  });

  it('finds the findings to close without reading repaired ones', async () => {
    const plan = await database.explain(OBSOLETE_FINDINGS.text, [100, 0n]);
    expect(plan['Actual Rows']).toBe(OBJECTS / 1000);
    expect(blocksOf(plan)).toBeLessThan(500);
  });

  it('finds the oldest check with one index probe', async () => {
    expect(blocksOf(await database.explain(OLDEST_CHECK.text))).toBeLessThan(10);
  });
});
