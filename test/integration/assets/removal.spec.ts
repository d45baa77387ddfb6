import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { contentKey, kindOf, unavailable } from '#libs/domain';
import { until } from '../../../libs/testing/src/until.js';
import { actor, CONTENT, INCOMING, sha256, World } from '../../../libs/testing/src/world.js';

describe('delete, restore and purge (real: PostgreSQL, queue, storage emulator)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const storedCopy = (bytes: string) => world.store.stat({ bucket: CONTENT, key: contentKey(sha256(bytes)) });
  const EMPTY = { usedBytes: 0, usedAssets: 0, reservedBytes: 0, reservedAssets: 0 };

  it('deletes and restores a READY asset, which counts against the quota throughout', async () => {
    const by = actor(1n);
    const { id } = await world.upload('kept a while', {}, by);
    expect(await world.removal.delete(by, id)).toMatchObject({ status: 'DELETED' });
    expect(await world.removal.delete(by, id)).toMatchObject({ status: 'DELETED' });
    expect(await world.quotas.of(1n)).toMatchObject({ usedAssets: 1 });
    expect(await world.urls.sign(by, await world.asset(id), 60, 'ATTACHMENT')).toBeNull();
    await world.runTask('remove-unreferenced', { now: new Date(Date.now() + 86_400_000) });
    expect(await world.removal.restore(by, id)).toMatchObject({ status: 'READY', deletedAt: null });
    expect(await world.removal.restore(by, id)).toMatchObject({ status: 'READY' });
    expect(await storedCopy('kept a while')).not.toBeNull();
  });

  it('cancels a pending upload, releases its quota and discards late bytes', async () => {
    const by = actor(2n);
    const { id, ticket } = await world.request('late', {}, by);
    expect(await world.removal.delete(by, id)).toMatchObject({ status: 'DELETED' });
    expect(await world.quotas.of(2n)).toMatchObject(EMPTY);
    expect(await world.put(ticket, 'late')).toBe(200);
    expect(await world.completion.checkObject(id)).toBe('discarded');
    await expect(world.removal.restore(by, id)).rejects.toMatchObject({ reason: 'NOTHING_TO_RESTORE' });
  });

  it('applies a delete during PROCESSING at the next transition', async () => {
    const by = actor(3n);
    const good = await world.received('deleted while scanned', {}, by);
    const bad = await world.received('promised', {}, by, 'received');
    for (const { id } of [good, bad]) {
      expect(await world.removal.delete(by, id)).toMatchObject({ status: 'PROCESSING' });
    }
    await world.process(good.job);
    await world.process(bad.job);
    expect(await world.asset(good.id)).toMatchObject({ status: 'DELETED' });
    expect(await world.asset(bad.id)).toMatchObject({ status: 'DELETED' });
    expect(await world.objects(INCOMING)).toEqual([]);
    expect(await world.quotas.of(3n)).toMatchObject({ ...EMPTY, usedBytes: 21, usedAssets: 1 });
    expect(await world.removal.restore(by, good.id)).toMatchObject({ status: 'READY' });
  });

  it('deletes the bytes of an asset that was deleted during PROCESSING and then FAILED', async () => {
    const by = actor(6n);
    const { id, job } = await world.received('deleted, then failed', {}, by);
    await world.removal.delete(by, id);
    world.scanner.answers.set('then failed', new Error('broken'));
    for (let attempt = 1; attempt <= 5; attempt++) await world.process({ ...job, attempt });
    expect(await world.asset(id)).toMatchObject({ status: 'DELETED' });
    expect(await world.objects(INCOMING)).toContain(id);
    await world.runTask('remove-incoming', { now: new Date(Date.now() + 5 * 60_000) });
    expect(await world.objects(INCOMING)).not.toContain(id);
    expect(await world.quotas.of(6n)).toMatchObject(EMPTY);
  });

  it('purges row, reference, quota and bytes at once, and keeps bytes that another asset shares', async () => {
    const [one, two] = [actor(4n), actor(5n)];
    const [first, second] = [
      await world.upload('shared bytes', {}, one),
      await world.upload('shared bytes', {}, two),
    ];
    await world.removal.purge(one, first.id);
    expect(await world.assets.findWithoutAccessCheck(first.id)).toBeNull();
    expect(await world.quotas.of(4n)).toMatchObject(EMPTY);
    expect(await storedCopy('shared bytes')).not.toBeNull();
    await world.removal.purge(two, second.id);
    expect(await storedCopy('shared bytes')).toBeNull();
    expect(
      (await world.storedObjects()).filter((object) => object.sha256 === sha256('shared bytes')),
    ).toEqual([]);
    await expect(world.removal.purge(two, second.id)).rejects.toMatchObject({ kind: 'not-found' });
  });

  it.each(['PENDING', 'REJECTED', 'DELETED', 'FAILED'] as const)(
    'purges a %s asset without leaking quota',
    async (status) => {
      const by = actor(BigInt(10 + status.length));
      const { id, ticket } = await world.request('some bytes', {}, by);
      if (status === 'DELETED') await world.removal.delete(by, id);
      else if (status !== 'PENDING') {
        await world.put(ticket, status === 'REJECTED' ? 'SOME BYTES' : 'some bytes');
        await world.completion.checkObject(id);
        const job = await world.job(id);
        if (status === 'FAILED') await world.incoming.delete(id, job.generation);
        await world.process(job);
      }
      expect(await world.asset(id)).toMatchObject({ status });
      await world.removal.purge(by, id);
      expect(await world.quotas.of(by.ownerId)).toMatchObject(EMPTY);
    },
  );

  it('rejects a purge while a worker processes the asset', async () => {
    const { id } = await world.received('busy', {}, actor(30n));
    await expect(world.removal.purge(actor(30n), id)).rejects.toMatchObject({ reason: 'STILL_PROCESSING' });
  });

  it('requires the permission', async () => {
    const acl = [{ principal: 'user:8', permissions: ['READ' as const] }];
    const { id } = await world.upload('not yours', { acl }, actor(7n));
    for (const remove of ['delete', 'restore', 'purge'] as const) {
      await expect(world.removal[remove](actor(8n), id)).rejects.toMatchObject({ kind: 'forbidden' });
      await expect(world.removal[remove](actor(9n), id)).rejects.toMatchObject({ kind: 'not-found' });
    }
  });

  it('keeps the reference count exact when an upload finishes while the last other owner purges', async () => {
    for (let round = 0; round < 10; round++) {
      const bytes = `raced over ${round}`;
      const first = await world.upload(bytes, {}, actor(20n));
      const { id, job } = await world.received(bytes, {}, actor(21n));
      const finish = (): Promise<void> =>
        world.process(job).catch((error: unknown) => {
          // The collector held the object; the queue would retry the job.
          if (kindOf(error) !== 'unavailable') throw error;
          return finish();
        });
      await Promise.all([world.removal.purge(actor(20n), first.id), finish()]);
      expect(await world.asset(id)).toMatchObject({ status: 'READY' });
      const [object] = (await world.storedObjects()).filter(({ sha256: sum }) => sum === sha256(bytes));
      expect(object).toMatchObject({ refCount: 1, state: 'LIVE' });
      expect(object!.copies[0]!.version).toBe((await storedCopy(bytes))!.version);
    }
  });

  it('collects the uncounted copy of a crashed worker once its pin expires', async () => {
    const bytes = 'copied, then crashed';
    const { id, job } = await world.received(bytes, {}, actor(22n));
    const digest = { sizeBytes: bytes.length, sha256: sha256(bytes), crc32c: 'AAAAAA==' };
    const location = { bucket: CONTENT, key: contentKey(digest.sha256) };
    const staged = await world.stored.stage({ scope: '', ...digest }, location, new Date());
    await world.emulators.put(location, Buffer.from(bytes), { contentType: 'text/plain' });
    expect(await world.runTask('remove-unreferenced')).toMatchObject({ failed: 0 });
    expect(await world.collection.collect(staged!.id, new Date())).toBe(false);
    expect(await storedCopy(bytes)).not.toBeNull();
    await world.runTask('remove-unreferenced', { now: new Date(Date.now() + 2 * 3_600_000) });
    expect(await storedCopy(bytes)).toBeNull();
    await world.process(job);
    expect(await world.asset(id)).toMatchObject({ status: 'READY' });
  });
});

it.each([
  ['READY', 'promised'],
  ['REJECTED', 'received'],
] as const)('purges a %s asset only once its incoming object is deleted', async (status, sent) => {
  let isDown = true;
  await using world = await World.start({
    around: (real) =>
      Object.assign(Object.create(real) as typeof real, {
        delete: (...args: Parameters<typeof real.delete>) =>
          isDown ? Promise.reject(unavailable('DOWN', 'down')) : real.delete(...args),
      }),
  });
  const { id, job } = await world.received('promised', {}, actor(), sent);
  await world.process(job);
  expect(await world.asset(id)).toMatchObject({ status });
  await expect(world.removal.purge(actor(), id)).rejects.toMatchObject({ kind: 'unavailable' });
  expect(await world.asset(id)).toMatchObject({ status });
  isDown = false;
  await world.removal.purge(actor(), id);
  expect(await world.objects(INCOMING)).toEqual([]);
  expect(await world.assets.findWithoutAccessCheck(id)).toBeNull();
});

it('deletes no object that was stored again while a collector was paused', async () => {
  let resume = () => undefined as void;
  let isHeld = false;
  await using world = await World.start({
    around: (real) =>
      Object.assign(Object.create(real) as typeof real, {
        stat: async (...args: Parameters<typeof real.stat>) => {
          if (isHeld) {
            isHeld = false;
            await new Promise<void>((resolve) => (resume = resolve));
          }
          return real.stat(...args);
        },
      }),
  });
  const bytes = 'copied, and never recorded';
  const digest = { sizeBytes: bytes.length, sha256: sha256(bytes), crc32c: 'AAAAAA==' };
  const location = { bucket: CONTENT, key: contentKey(digest.sha256) };
  const staged = await world.stored.stage({ scope: '', ...digest }, location, new Date());
  await world.emulators.put(location, Buffer.from(bytes), { contentType: 'text/plain' });
  const later = new Date(Date.now() + 2 * 3_600_000);
  isHeld = true;
  const slow = world.collection.collect(staged!.id, later);
  await until('the collector is about to stat the object', () => (isHeld ? null : true));
  expect(await world.collection.collect(staged!.id, later)).toBe(false);
  const muchLater = new Date(later.getTime() + 3_600_000);
  expect(await world.collection.collect(staged!.id, muchLater)).toBe(true);
  expect(await world.upload(bytes)).toMatchObject({ status: 'READY' });
  resume();
  await slow;
  expect(await world.store.stat(location)).not.toBeNull();
});

describe('an object that storage does not delete', () => {
  const HOUR_MS = 3_600_000;
  const at = (hours: number) => new Date(Date.now() + hours * HOUR_MS);
  /** A world whose storage fails with `error` to delete the contents in `kept` from the content bucket. */
  const worldWithout = (kept: string[], error: Error) =>
    World.start({
      around: (real) =>
        Object.assign(Object.create(real) as typeof real, {
          delete: (...args: Parameters<typeof real.delete>) =>
            args[0].bucket === CONTENT && kept.some((bytes) => args[0].key.endsWith(sha256(bytes)))
              ? Promise.reject(error)
              : real.delete(...args),
        }),
    });
  const rowOf = async (world: World, bytes: string) =>
    (await world.storedObjects()).find((object) => object.sha256 === sha256(bytes));
  const purged = async (world: World, bytes: string) => {
    const { id } = await world.upload(bytes);
    await world.removal.purge(actor(), id);
  };

  it('shares the object with a new upload when storage refuses the deletion', async () => {
    await using world = await worldWithout(['held'], new Error('storage answered 403'));
    await purged(world, 'held');
    expect(await rowOf(world, 'held')).toMatchObject({ state: 'STAGING', refCount: 0 });
    const asset = await world.upload('held');
    expect(asset).toMatchObject({ status: 'READY' });
    expect(await rowOf(world, 'held')).toMatchObject({ state: 'LIVE', refCount: 1 });
    expect(await world.runTask('remove-unreferenced', { now: at(48) })).toMatchObject({
      examined: 0,
      failed: 0,
    });
    await world.removal.purge(actor(), asset.id);
    expect(await world.runTask('remove-unreferenced', { now: at(2) })).toMatchObject({
      examined: 1,
      failed: 1,
    });
    const { id, ...row } = (await rowOf(world, 'held'))!;
    expect(row).toMatchObject({ state: 'STAGING', refCount: 0 });
    // A run with an old start time also claims the row, and the retry is scheduled in the future.
    await world.database.prisma.storedObject.update({ where: { id }, data: { pinnedUntil: null } });
    await expect(world.collection.collect(id, at(-2))).rejects.toThrow('403');
    expect((await rowOf(world, 'held'))!.pinnedUntil!.getTime()).toBeGreaterThan(Date.now());
  });

  it('makes new uploads wait while the outcome of the deletion is unknown', async () => {
    await using world = await worldWithout(['in doubt'], unavailable('DOWN', 'no answer'));
    await purged(world, 'in doubt');
    const { id, job } = await world.received('in doubt');
    await expect(world.process(job)).rejects.toMatchObject({ reason: 'STORED_OBJECT_BUSY' });
    expect(await world.asset(id)).toMatchObject({ status: 'PROCESSING', attempt: 1 });
    expect(await world.runTask('remove-unreferenced', { now: new Date() })).toMatchObject({
      examined: 0,
      failed: 0,
    });
    expect(await world.runTask('remove-unreferenced', { now: at(0.1) })).toMatchObject({
      examined: 1,
      failed: 1,
    });
  });

  it('does not block the collection of others, however many fail', async () => {
    const held = Array.from({ length: 101 }, (_, i) => `held ${i}`);
    await using world = await worldWithout(held, new Error('storage answered 403'));
    const stage = async (bytes: string, now: Date) => {
      const content = { scope: '', sizeBytes: bytes.length, sha256: sha256(bytes), crc32c: 'AAAAAA==' };
      const location = { bucket: CONTENT, key: contentKey(content.sha256) };
      const staged = await world.stored.stage(content, location, now);
      await world.stored.recordCopy(staged!.id, { version: '1', storageClass: null }, []);
    };
    for (const bytes of held) await stage(bytes, at(-2));
    // Due before the last of the held objects.
    await stage('free', at(-1.5));
    for (let run = 0; run < 2; run++) await world.runTask('remove-unreferenced');
    expect(await rowOf(world, 'free')).toBeUndefined();
    // All held objects are due again; an object that was released meanwhile comes first.
    await stage('freed', new Date());
    const { id } = (await rowOf(world, 'freed'))!;
    await world.database.prisma.storedObject.update({ where: { id }, data: { pinnedUntil: null } });
    await world.runTask('remove-unreferenced', { now: at(2) });
    expect(await rowOf(world, 'freed')).toBeUndefined();
    expect(await world.storedObjects()).toHaveLength(held.length);
  });
});
