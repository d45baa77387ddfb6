import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { AssetTransferService } from '#libs/assets';
import { ScopeCopiesService } from '#libs/content';
import { contentKey, kindOf, parseProfiles, unavailable, variantKey } from '#libs/domain';
import { QuotaMovesService } from '#libs/quota';
import type { CopyRequest, ObjectStore } from '#libs/storage';
import sharp from 'sharp';
import { actor, CONTENT, sha256, World } from '../../../libs/testing/src/world.js';
import { inconsistencies } from '../../support/consistency.js';

const OPERATOR = actor(999n, { isAdmin: true });
const HOUR_MS = 3_600_000;
const EMPTY = { usedBytes: 0, usedAssets: 0, reservedBytes: 0, reservedAssets: 0 };

const transferOf = (world: World) => {
  const service = world.module.get(AssetTransferService);
  return (id: string, to: bigint) => service.transfer(OPERATOR, id, to);
};
const objectsOf = async (world: World, bytes: string | Buffer) =>
  (await world.storedObjects()).filter((object) => object.sha256 === sha256(bytes));
const bytesOf = async (world: World, ownerId: bigint, id: string) => {
  const signed = await world.urls.sign(actor(ownerId), await world.asset(id), 60, 'ATTACHMENT');
  return signed && Buffer.from(await (await fetch(signed.url)).arrayBuffer()).toString();
};
const setLimits = (world: World, ownerId: bigint, limits: { limitBytes?: number; limitAssets?: number }) =>
  world.database.prisma.ownerQuota.upsert({
    where: { ownerId },
    create: { ownerId, ...limits },
    update: limits,
  });
/** Collects what is due once all pins have expired, and the restore window of the former owner's bytes. */
const collectAll = (world: World) =>
  world.runTask('remove-unreferenced', { now: new Date(Date.now() + 8 * 24 * HOUR_MS) });

describe.each(['global', 'owner'] as const)(
  'a transfer with dedupe scope %s (real: PostgreSQL, queue, storage emulator)',
  (dedupeScope) => {
    let world: World;
    let transfer: ReturnType<typeof transferOf>;
    beforeAll(async () => {
      world = await World.start({ dedupeScope });
      transfer = transferOf(world);
    });
    afterAll(() => world[Symbol.asyncDispose]());

    it('moves asset, metadata, properties and quota, once', async () => {
      const metadata = [{ key: 'place', value: 'Rome' }];
      const acl = [{ principal: 'user:3', permissions: ['READ' as const] }];
      const { id, version } = await world.upload('given away', { metadata, acl }, actor(1n));
      for (let call = 0; call < 2; call++) {
        expect(await transfer(id, 2n)).toMatchObject({ ownerId: 2n, status: 'READY', version: version + 1 });
      }
      expect(await world.quotas.of(1n)).toMatchObject(EMPTY);
      expect(await world.quotas.of(2n)).toMatchObject({ ...EMPTY, usedBytes: 10, usedAssets: 1 });
      const { prisma } = world.database;
      expect(await prisma.assetMetadata.findMany({ where: { assetId: id } })).toMatchObject([
        { ownerId: 2n, value: 'Rome' },
      ]);
      expect(await prisma.assetProperties.findUnique({ where: { assetId: id } })).toMatchObject({
        ownerId: 2n,
      });
      const events = await prisma.domainEvent.findMany({ where: { assetId: id, type: 'asset.transferred' } });
      expect(events).toMatchObject([{ ownerId: 2n }]);
      expect(await bytesOf(world, 2n, id)).toBe('given away');
      expect(await world.assets.find(actor(1n), id)).toBeNull();
      expect(await world.assets.find(actor(3n), id)).not.toBeNull();
    });

    it('drops the grants of features and keeps those of clients', async () => {
      const acl = [{ principal: 'user:5', permissions: ['READ' as const, 'WRITE' as const] }];
      const { id } = await world.upload('shared', { acl }, actor(4n));
      await world.database.prisma.assetAcl.create({
        data: { assetId: id, principal: 'albums:7', permission: 'READ' },
      });
      await transfer(id, 5n);
      const grants = await world.database.prisma.assetAcl.findMany({ where: { assetId: id } });
      expect(grants.map(({ principal, permission }) => `${principal} ${permission}`).sort()).toEqual([
        'user:5 READ',
        'user:5 WRITE',
      ]);
    });

    it('refuses a receiver without room and changes nothing', async () => {
      const asset = await world.upload('too much', {}, actor(10n));
      await world.upload('has already', {}, actor(11n));
      const before = await world.quotas.of(10n);
      for (const limits of [{ limitBytes: 18 }, { limitBytes: 1 }, { limitBytes: 19, limitAssets: 1 }]) {
        await setLimits(world, 11n, limits);
        await expect(transfer(asset.id, 11n)).rejects.toMatchObject({
          kind: 'over-quota',
          reason: 'QUOTA_EXCEEDED',
        });
      }
      expect(await world.asset(asset.id)).toEqual(asset);
      expect(await world.quotas.of(10n)).toEqual(before);
      expect(await objectsOf(world, 'too much')).toMatchObject([{ refCount: 1, state: 'LIVE' }]);
      await setLimits(world, 11n, { limitBytes: 19, limitAssets: 2 });
      expect(await transfer(asset.id, 11n)).toMatchObject({ ownerId: 11n });
      expect(await world.quotas.of(11n)).toMatchObject({ usedBytes: 19, usedAssets: 2 });
    });

    it('frees the idempotency key for both owners', async () => {
      const idempotencyKey = 'same key';
      const { id } = await world.upload('keyed', { idempotencyKey }, actor(12n));
      const other = await world.upload('keyed differently', { idempotencyKey }, actor(13n));
      expect(await transfer(id, 13n)).toMatchObject({ ownerId: 13n });
      const ask = async (bytes: string, by: bigint) =>
        (await world.request(bytes, { idempotencyKey }, actor(by))).asset;
      expect(await ask('keyed differently', 13n)).toMatchObject({ id: other.id });
      const repeated = await ask('keyed', 12n);
      expect(repeated).toMatchObject({ ownerId: 12n, status: 'PENDING' });
      expect(repeated.id).not.toBe(id);
      await world.uploads.cancel(actor(12n), repeated.id);
    });

    it('moves a DELETED asset, which its new owner can restore', async () => {
      const { id } = await world.upload('in the bin', {}, actor(14n));
      await world.removal.delete(actor(14n), id);
      expect(await transfer(id, 15n)).toMatchObject({ ownerId: 15n, status: 'DELETED' });
      expect(await world.quotas.of(14n)).toMatchObject(EMPTY);
      expect(await world.quotas.of(15n)).toMatchObject({ usedAssets: 1 });
      await expect(world.removal.restore(actor(14n), id)).rejects.toMatchObject({ kind: 'not-found' });
      expect(await world.removal.restore(actor(15n), id)).toMatchObject({ status: 'READY' });
      expect(await bytesOf(world, 15n, id)).toBe('in the bin');
    });

    it('moves assets that do not count, even to an owner without room', async () => {
      const [from, to] = [actor(16n), 17n];
      await setLimits(world, to, { limitBytes: 0, limitAssets: 0 });
      const { id: cancelled } = await world.request('cancelled', {}, from);
      await world.uploads.cancel(from, cancelled);
      const { id: rejected, job } = await world.received('promised', {}, from, 'received');
      await world.process(job);
      const { id: removed } = await world.request('removed', {}, from);
      await world.removal.delete(from, removed);
      for (const [id, status] of [
        [cancelled, 'CANCELLED'],
        [rejected, 'REJECTED'],
        [removed, 'DELETED'],
      ] as const) {
        expect(await transfer(id, to)).toMatchObject({ ownerId: to, status });
      }
      expect(await world.quotas.of(from.ownerId)).toMatchObject(EMPTY);
      expect(await world.quotas.of(to)).toMatchObject(EMPTY);
    });

    it('moves the reservation of a FAILED asset, whose retry stores the bytes for the new owner', async () => {
      const { id, job } = await world.received('fails at first', {}, actor(18n));
      world.scanner.answers.set('fails at first', new Error('broken'));
      for (let attempt = 1; attempt <= 5; attempt++) await world.process({ ...job, attempt });
      world.scanner.answers.clear();
      const { updatedAt } = await world.asset(id);
      expect(await transfer(id, 19n)).toMatchObject({ ownerId: 19n, status: 'FAILED', updatedAt });
      expect(await world.quotas.of(18n)).toMatchObject(EMPTY);
      expect(await world.quotas.of(19n)).toMatchObject({ ...EMPTY, reservedBytes: 14, reservedAssets: 1 });
      const [letter] = await world.deadLetters.list('OPEN', undefined, 1);
      await world.deadLetters.retry(letter!.id);
      await world.process(await world.job(id));
      expect(await world.asset(id)).toMatchObject({ status: 'READY', ownerId: 19n });
      expect(await world.quotas.of(19n)).toMatchObject({ ...EMPTY, usedBytes: 14, usedAssets: 1 });
      expect(await objectsOf(world, 'fails at first')).toMatchObject([
        { scope: dedupeScope === 'owner' ? '19' : '' },
      ]);
    });

    it('accepts exactly as many of several transfers as the new owner has room for', async () => {
      await setLimits(world, 31n, { limitBytes: 1_000, limitAssets: 3 });
      const assets = [];
      for (let count = 0; count < 6; count++)
        assets.push(await world.upload(`part ${count}`, {}, actor(30n)));
      const results = await Promise.allSettled(assets.map(({ id }) => transfer(id, 31n)));
      const refused = results.filter(({ status }) => status === 'rejected');
      expect(refused).toEqual(
        Array.from({ length: 3 }, () =>
          expect.objectContaining({ reason: expect.objectContaining({ reason: 'QUOTA_EXCEEDED' }) }),
        ),
      );
      for (const ownerId of [30n, 31n]) {
        expect(await world.quotas.of(ownerId)).toMatchObject({ ...EMPTY, usedBytes: 18, usedAssets: 3 });
      }
    });

    it('transfers assets in both directions at once', async () => {
      const pairs: (readonly [string, bigint])[] = [];
      for (let count = 0; count < 4; count++) {
        for (const [from, to] of [
          [32n, 33n],
          [33n, 32n],
        ] as const) {
          pairs.push([(await world.upload(`swapped by ${from}: ${count}`, {}, actor(from))).id, to]);
        }
      }
      const moved = await Promise.all(pairs.map(([id, to]) => transfer(id, to)));
      expect(moved.map(({ ownerId }) => ownerId)).toEqual(pairs.map(([, to]) => to));
      for (const ownerId of [32n, 33n]) {
        expect(await world.quotas.of(ownerId)).toMatchObject({ ...EMPTY, usedBytes: 4 * 16, usedAssets: 4 });
      }
    });

    it('refuses an upload that has not finished', async () => {
      const pending = await world.request('not sent', {}, actor(20n));
      const processing = await world.received('sent', {}, actor(20n));
      for (const { id } of [pending, processing]) {
        await expect(transfer(id, 21n)).rejects.toMatchObject({
          kind: 'conflict',
          reason: 'UPLOAD_UNFINISHED',
        });
        expect(await world.asset(id)).toMatchObject({ ownerId: 20n });
      }
      await world.uploads.cancel(actor(20n), pending.id);
      await world.process(processing.job);
      expect(await transfer(processing.id, 21n)).toMatchObject({ ownerId: 21n });
    });

    it.each(['no id', '018f0000-0000-7000-8000-000000000000'])('answers NOT_FOUND for %s', async (id) => {
      await expect(transfer(id, 1n)).rejects.toMatchObject({ kind: 'not-found', reason: 'ASSET_NOT_FOUND' });
    });

    it('ends in one consistent state when it races with other changes', async () => {
      await using raced = await World.start({ dedupeScope });
      const move = transferOf(raced);
      /** Losing the race is an answer. */
      const tolerant = (work: Promise<unknown>) =>
        work.catch((error: unknown) => {
          if (!['conflict', 'not-found', 'unavailable'].includes(kindOf(error))) throw error;
        });
      for (let round = 0; round < 4; round++) {
        const bytes = `raced over in round ${round}`;
        const { id, storedObjectId } = await raced.upload(bytes, {}, actor(1n));
        const twin = await raced.received(bytes, {}, actor(2n));
        const others = [
          () => raced.removal.delete(actor(1n), id),
          () => raced.removal.purge(actor(1n), id),
          () =>
            raced.infectedContent.quarantineObject(
              { id: storedObjectId!, sha256: sha256(bytes) },
              new Date(),
            ),
          () => raced.request(bytes, {}, actor(1n)),
        ];
        await Promise.all([
          ...[2n, 3n, 2n].map((to) => tolerant(move(id, to))),
          tolerant(others[round % others.length]!()),
          tolerant(raced.process(twin.job)),
          tolerant(raced.runTask('remove-unreferenced')),
        ]);
        // An unavailable object delays the job.
        while ((await raced.asset(twin.id)).status === 'PROCESSING') await tolerant(raced.process(twin.job));
      }
      const waiting = await raced.database.prisma.mediaAsset.findMany({ where: { status: 'PENDING' } });
      for (const { ownerId, assetId } of waiting) await raced.uploads.cancel(actor(ownerId), assetId);
      await raced.runTask('quarantine');
      await collectAll(raced);
      expect(await inconsistencies(raced.testDatabase.url, raced.emulators)).toEqual([]);
    });
  },
);

describe('a transfer between owners that share no objects (real: PostgreSQL, storage emulator)', () => {
  let world: World;
  let transfer: ReturnType<typeof transferOf>;
  /** Runs before each copy within the content bucket. */
  let onCopy: (request: CopyRequest) => Promise<void> = () => Promise.resolve();
  beforeAll(async () => {
    const around = (store: ObjectStore): ObjectStore => {
      const copy = store.copy.bind(store);
      store.copy = async (request, options) => {
        if (request.from.bucket === CONTENT && request.to.bucket === CONTENT) await onCopy(request);
        return copy(request, options);
      };
      return store;
    };
    world = await World.start({ dedupeScope: 'owner', profiles: ['small=webp:32:80'], around });
    transfer = transferOf(world);
  });
  afterAll(() => world[Symbol.asyncDispose]());
  afterEach(() => {
    onCopy = () => Promise.resolve();
  });
  const picture = (background: string) =>
    sharp({ create: { width: 60, height: 40, channels: 3, background } })
      .png()
      .toBuffer();

  it('copies bytes and variants into the scope of the new owner, and collects the old ones', async () => {
    const bytes = await picture('red');
    const declared = { filename: 'a.png', mimeType: 'image/png' };
    const { id } = await world.upload(bytes, declared, actor(1n));
    const [old] = await objectsOf(world, bytes);
    const { objectKey } = await transfer(id, 2n);
    expect(objectKey).toBe(contentKey(sha256(bytes), '2'));
    const { variants } = (await world.assets.contents([id])).get(id)!;
    expect(variants).toMatchObject([{ name: 'small', width: 32, mimeType: 'image/webp' }]);
    expect(await world.store.stat(variants[0]!)).toMatchObject({ contentType: 'image/webp' });
    await world.runTask('remove-unreferenced', { now: new Date(Date.now() + 6 * 24 * HOUR_MS) });
    expect((await objectsOf(world, bytes)).map(({ scope }) => scope)).toEqual(['1', '2']);
    await collectAll(world);
    const objects = await objectsOf(world, bytes);
    expect(objects).toMatchObject([
      {
        scope: '2',
        refCount: 1,
        state: 'LIVE',
        pinnedUntil: null,
        scannedBy: old!.scannedBy,
        scannedAt: old!.scannedAt,
        variantSpecs: old!.variantSpecs,
        readBy: old!.readBy,
      },
    ]);
    const names = (await world.objects(CONTENT)).filter((name) => name.includes(sha256(bytes)));
    const spec = old!.variantSpecs!.split(' ')[0]!;
    expect(names.sort()).toEqual([objectKey, variantKey(sha256(bytes), spec, '2')].sort());
    expect(await world.variantRebuild.next(new Date())).toBe(false);
  });

  it('keeps the reason why a picture has no variants', async () => {
    const bytes = await picture('green');
    const { id } = await world.upload(bytes, { filename: 'a.png', mimeType: 'image/png' }, actor(3n));
    const [old] = await objectsOf(world, bytes);
    await world.database.prisma.objectVariant.deleteMany({ where: { storedObjectId: old!.id } });
    await world.database.prisma.storedObject.update({
      where: { id: old!.id },
      data: { variantsReason: 'TOO_LARGE' },
    });
    await transfer(id, 4n);
    expect(await objectsOf(world, bytes)).toMatchObject([
      { scope: '3', refCount: 0 },
      { scope: '4', refCount: 1, variantsReason: 'TOO_LARGE', variantSpecs: old!.variantSpecs },
    ]);
  });

  it('leaves out variants that are deleted during the copy, which a worker rebuilds', async () => {
    const bytes = await picture('blue');
    const { id } = await world.upload(bytes, { filename: 'a.png', mimeType: 'image/png' }, actor(5n));
    onCopy = async ({ from }) => {
      if (from.key.startsWith('variant/')) await world.store.delete(from);
    };
    await transfer(id, 6n);
    expect((await world.assets.contents([id])).get(id)!.variants).toEqual([]);
    while (await world.variantRebuild.next(new Date()));
    expect((await world.assets.contents([id])).get(id)!.variants).toMatchObject([{ name: 'small' }]);
  });

  it('shares the object that the new owner has already', async () => {
    const bytes = 'both have it';
    const [given, own] = [await world.upload(bytes, {}, actor(7n)), await world.upload(bytes, {}, actor(8n))];
    expect(await transfer(given.id, 8n)).toMatchObject({ storedObjectId: own.storedObjectId });
    expect(await objectsOf(world, bytes)).toMatchObject([
      { scope: '7', refCount: 0 },
      { scope: '8', refCount: 2 },
    ]);
    await world.removal.purge(actor(8n), own.id);
    expect(await bytesOf(world, 8n, given.id)).toBe(bytes);
  });

  it('keeps the bytes of the former owner for its other assets', async () => {
    const bytes = 'kept and given';
    const { id } = await world.upload(bytes, {}, actor(9n));
    const { asset: twin } = await world.request(bytes, {}, actor(9n));
    await transfer(id, 10n);
    await collectAll(world);
    expect(await bytesOf(world, 9n, twin.id)).toBe(bytes);
    expect(await bytesOf(world, 10n, id)).toBe(bytes);
  });

  it('repairs the damaged object of the new owner', async () => {
    const bytes = 'damaged at one owner';
    const [given, own] = [
      await world.upload(bytes, {}, actor(11n)),
      await world.upload(bytes, {}, actor(12n)),
    ];
    const at = { bucket: CONTENT, key: own.objectKey };
    const { version } = (await world.store.stat(at))!;
    expect(await world.stored.markCorrupt(own.storedObjectId!, version)).toBe(true);
    await world.store.delete({ ...at, version });
    await transfer(given.id, 12n);
    expect(await objectsOf(world, bytes)).toMatchObject([
      { scope: '11', refCount: 0 },
      { scope: '12', refCount: 2, state: 'LIVE' },
    ]);
    expect(await bytesOf(world, 12n, own.id)).toBe(bytes);
  });

  it('copies no damaged and no infected bytes', async () => {
    const damaged = await world.upload('damaged before', {}, actor(13n));
    const at = { bucket: CONTENT, key: damaged.objectKey };
    await world.stored.markCorrupt(damaged.storedObjectId!, (await world.store.stat(at))!.version);
    const infected = await world.upload('infected before', {}, actor(13n));
    await world.removal.delete(actor(13n), infected.id);
    const found = { id: infected.storedObjectId!, sha256: sha256('infected before') };
    await world.infectedContent.quarantineObject(found, new Date());
    // The same bytes of another owner were not scanned again yet.
    const same = await world.upload('infected later', {}, actor(14n));
    const sample = await world.upload('infected later', {}, actor(15n));
    const later = { id: sample.storedObjectId!, sha256: sha256('infected later') };
    await world.infectedContent.quarantineObject(later, new Date());
    for (const [id, to] of [
      [damaged.id, 16n],
      [infected.id, 16n],
      [same.id, 15n],
      [same.id, 16n],
    ] as const) {
      await expect(transfer(id, to)).rejects.toMatchObject({
        kind: 'conflict',
        reason: 'BYTES_NOT_COPYABLE',
      });
    }
    expect(await world.quotas.of(16n)).toMatchObject(EMPTY);
  });

  it('refuses bytes that are found infected during the copy', async () => {
    const { id, storedObjectId } = await world.upload('infected meanwhile', {}, actor(17n));
    onCopy = async () => {
      await world.stored.markInfected({ id: storedObjectId! });
    };
    await expect(transfer(id, 18n)).rejects.toMatchObject({ reason: 'BYTES_NOT_COPYABLE' });
    await world.runTask('quarantine');
    expect(await world.asset(id)).toMatchObject({ ownerId: 17n, status: 'REJECTED' });
    await collectAll(world);
    expect(await objectsOf(world, 'infected meanwhile')).toMatchObject([{ scope: '17' }]);
  });

  /** Runs `work` between the copy of the bytes and the transaction of the next transfer. Returns the number of copies. */
  const afterCopy = (work: () => Promise<unknown>) => {
    const { database } = world;
    const begin = database.transaction.bind(database);
    const copies = jest.spyOn(world.module.get(ScopeCopiesService), 'copyInto');
    jest.spyOn(database, 'transaction').mockImplementationOnce(async (change) => {
      await work();
      return begin(change);
    });
    return () => {
      const { length } = copies.mock.calls;
      jest.restoreAllMocks();
      return length;
    };
  };

  it('copies again when the collector takes the copy before the asset points at it', async () => {
    const bytes = 'collected too early';
    const { id } = await world.upload(bytes, {}, actor(19n));
    const copies = afterCopy(async () => {
      const [, copy] = await objectsOf(world, bytes);
      expect(await world.collection.collect(copy!.id, new Date(Date.now() + 2 * HOUR_MS))).toBe(true);
    });
    expect(await transfer(id, 20n)).toMatchObject({ ownerId: 20n });
    expect(copies()).toBe(2);
    expect(await objectsOf(world, bytes)).toMatchObject([
      { scope: '19', refCount: 0 },
      { scope: '20', refCount: 1 },
    ]);
    expect(await bytesOf(world, 20n, id)).toBe(bytes);
  });

  it('copies again when the bytes are found damaged and stored again after the copy', async () => {
    const { id, objectKey, storedObjectId } = await world.upload('damaged meanwhile', {}, actor(25n));
    const copies = afterCopy(async () => {
      const { version } = (await world.store.stat({ bucket: CONTENT, key: objectKey }))!;
      await world.stored.markCorrupt(storedObjectId!, version);
      await world.store.delete({ bucket: CONTENT, key: objectKey, version });
      await world.upload('damaged meanwhile', {}, actor(25n));
    });
    expect(await transfer(id, 26n)).toMatchObject({ ownerId: 26n });
    expect(copies()).toBe(2);
  });

  it('leaves at most a pinned copy when it ends after any step, which a repeat uses and the collector removes', async () => {
    const bytes = 'interrupted';
    const asset = await world.upload(bytes, {}, actor(21n));
    const down = unavailable('STORAGE_UNAVAILABLE', 'down');
    onCopy = () => Promise.reject(down);
    await expect(transfer(asset.id, 22n)).rejects.toBe(down);
    onCopy = () => Promise.resolve();
    const move = jest.spyOn(world.module.get(QuotaMovesService), 'move').mockRejectedValueOnce(down);
    await expect(transfer(asset.id, 22n)).rejects.toBe(down);
    move.mockRestore();
    expect(await world.asset(asset.id)).toEqual(asset);
    expect(await objectsOf(world, bytes)).toMatchObject([
      { scope: '21', refCount: 1, state: 'LIVE' },
      { scope: '22', refCount: 0, state: 'STAGING', pinnedUntil: expect.any(Date) },
    ]);
    await collectAll(world);
    expect(await objectsOf(world, bytes)).toMatchObject([{ scope: '21' }]);
    expect(await transfer(asset.id, 22n)).toMatchObject({ ownerId: 22n });
    expect(await bytesOf(world, 22n, asset.id)).toBe(bytes);
  });

  it('rebuilds the variants of a copy whose profiles changed', async () => {
    const bytes = await picture('black');
    const { id } = await world.upload(bytes, { filename: 'a.png', mimeType: 'image/png' }, actor(23n));
    world.profiles.splice(0, Infinity, ...parseProfiles(['tiny=webp:16:80']));
    await transfer(id, 24n);
    while (await world.variantRebuild.next(new Date()));
    expect((await world.assets.contents([id])).get(id)!.variants).toMatchObject([{ name: 'tiny' }]);
  });
});

it('copies objects of the former scope after DEDUPE_SCOPE was changed', async () => {
  await using world = await World.start({ dedupeScope: 'owner' });
  const transfer = transferOf(world);
  const { id, storedObjectId } = await world.upload('stored for all', {}, actor(1n));
  // The object of a time when all owners shared objects.
  await world.database.prisma.storedObject.update({ where: { id: storedObjectId! }, data: { scope: '' } });
  expect(await transfer(id, 2n)).toMatchObject({ objectKey: contentKey(sha256('stored for all'), '2') });
});
