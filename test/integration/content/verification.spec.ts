import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ObjectVerificationService } from '#libs/content';
import { corruptKey, OCTET_STREAM } from '#libs/domain';
import type { ObjectStore } from '#libs/storage';
import { Readable } from 'node:stream';
import { type Asset, AssetTransferService } from '#libs/assets';
import pg from 'pg';
import { until } from '../../../libs/testing/src/until.js';
import { actor, CONTENT, QUARANTINE, sha256, World } from '../../../libs/testing/src/world.js';

const READER = actor(42n);
const NOW = new Date('2026-11-01T12:00:00Z');

describe('verification of stored objects (real: PostgreSQL, storage emulator; a scripted scanner)', () => {
  let world: World;
  let verification: ObjectVerificationService;
  /** Runs once, before the next call of a method of the store. */
  let before: { readonly method: string; readonly run: () => unknown } | null = null;
  /** Makes the next read of a stored object return damaged bytes. */
  let damagesOnce = false;

  beforeAll(async () => {
    const around = (store: ObjectStore): ObjectStore => {
      const intercept = async (method: string) => {
        if (before?.method !== method) return;
        const { run } = before;
        before = null;
        await run();
      };
      const { stat, read, copy, delete: remove } = store;
      store.stat = async (...args) => (await intercept('stat'), stat.apply(store, args));
      store.copy = async (...args) => (await intercept('copy'), copy.apply(store, args));
      store.delete = async (...args) => (await intercept('delete'), remove.apply(store, args));
      store.read = (object, options) => {
        if (object.bucket === CONTENT && damagesOnce) {
          damagesOnce = false;
          return Readable.from([Buffer.from('damaged in transit')]);
        }
        if (object.bucket !== CONTENT || before?.method !== 'read') return read.call(store, object, options);
        return Readable.from(
          (async function* () {
            await intercept('read');
            yield* read.call(store, object, options);
          })(),
        );
      };
      return store;
    };
    world = await World.start({ around });
    verification = world.module.get(ObjectVerificationService, { strict: false });
  });
  afterAll(() => world?.[Symbol.asyncDispose]());
  afterEach(async () => {
    expect(before).toBeNull();
    expect(damagesOnce).toBe(false);
    await world.database.prisma.integrityFinding.deleteMany();
  });

  const idOf = (asset: Asset) => asset.storedObjectId!;
  const at = (asset: Asset) => ({ bucket: CONTENT, key: asset.objectKey });
  const rowOf = (asset: Asset) =>
    world.database.prisma.storedObject.findUniqueOrThrow({
      where: { id: idOf(asset) },
      include: { copies: true },
    });
  const verify = (asset: Asset) => verification.verify(idOf(asset), NOW);
  const urlOf = async (asset: Asset, by = READER) =>
    (await world.urls.sign(by, await world.asset(asset.id), 60, 'ATTACHMENT'))?.url;
  const bytesOf = async (asset: Asset, by = READER) => (await fetch((await urlOf(asset, by))!)).text();
  const findings = async () => {
    const rows = await world.database.prisma.integrityFinding.findMany({ orderBy: { id: 'asc' } });
    return rows.map(({ problem, subject, repaired }) => [problem, subject, repaired ? 'repaired' : 'open']);
  };
  const write = (asset: Asset, bytes: string, contentType = OCTET_STREAM) =>
    world.emulators.put(at(asset), Buffer.from(bytes), { contentType });
  const delete_ = async (asset: Asset) =>
    world.store.delete({ ...at(asset), version: (await world.store.stat(at(asset)))!.version });
  /** Replaces the bytes and records their version, as if a disk had damaged them. */
  async function damage(asset: Asset, bytes: string) {
    await write(asset, bytes);
    await recordVersion(asset, (await world.store.stat(at(asset)))!.version);
  }
  const recordVersion = (asset: Asset, version: string | null) =>
    world.database.prisma.objectCopy.updateMany({
      where: { storedObjectId: idOf(asset) },
      data: { version },
    });

  async function isOutOfService(asset: Asset) {
    const row = await rowOf(asset);
    expect(row.state).toBe('CORRUPT');
    expect(row.copies.every(({ version }) => version === null)).toBe(true);
    expect(await urlOf(asset)).toBeUndefined();
  }

  async function isServed(asset: Asset, bytes: string) {
    const row = await rowOf(asset);
    expect(row).toMatchObject({ state: 'LIVE', lastVerifiedAt: NOW });
    expect(row.copies[0]!.version).toBe((await world.store.stat(at(asset)))!.version);
    expect(await bytesOf(asset)).toBe(bytes);
  }

  it('records the verification of an intact object', async () => {
    const asset = await world.upload('intact');
    expect(await verify(asset)).toBe('intact');
    await isServed(asset, 'intact');
    expect(await findings()).toEqual([]);
  });

  it.each(['STAGING', 'DELETING', 'QUARANTINED'] as const)(
    'leaves an object that is %s alone',
    async (state) => {
      const asset = await world.upload(`alone while ${state}`);
      await delete_(asset);
      const { lastVerifiedAt } = await rowOf(asset);
      await world.database.prisma.storedObject.update({ where: { id: idOf(asset) }, data: { state } });
      expect(await verify(asset)).toBe('changed');
      expect(await rowOf(asset)).toMatchObject({ state, lastVerifiedAt });
      expect(await findings()).toEqual([]);
    },
  );

  it('serves an object again whose bytes an operator has restored', async () => {
    const asset = await world.upload('lost and found');
    await delete_(asset);
    await verify(asset);
    await isOutOfService(asset);
    await write(asset, 'lost and found');
    const collect = (isDryRun: boolean) => world.runTask('collect-orphans', { now: NOW, isDryRun });
    const actions = [{ action: 'verify', subject: `object ${idOf(asset)}` }];
    expect(await collect(true)).toMatchObject({ changed: 1, actions });
    expect(await collect(false)).toMatchObject({ changed: 1, actions });
    await isServed(asset, 'lost and found');
    expect(await findings()).toEqual([['MISSING', `object ${idOf(asset)}`, 'repaired']]);
    expect(await collect(false)).toMatchObject({ changed: 0 });
  });

  it('removes wrong bytes that are left at the key of a corrupt object', async () => {
    const asset = await world.upload('right bytes');
    await delete_(asset);
    await verify(asset);
    await write(asset, 'wrong bytes');
    expect(await verify(asset)).toBe('damaged');
    expect(await world.store.stat(at(asset))).toBeNull();
    await isOutOfService(asset);
    expect(await findings()).toEqual([['MISSING', `object ${idOf(asset)}`, 'open']]);
  });

  it('stops serving a missing object at once', async () => {
    const asset = await world.upload('missing');
    await delete_(asset);
    expect(await urlOf(asset)).toBeDefined();
    expect(await verify(asset)).toBe('damaged');
    await isOutOfService(asset);
    expect(await findings()).toEqual([['MISSING', `object ${idOf(asset)}`, 'open']]);
    expect(await verify(asset)).toBe('damaged');
    expect(await findings()).toHaveLength(1);
  });

  it('records the version of the right bytes at another version', async () => {
    const asset = await world.upload('written again');
    await write(asset, 'written again');
    expect(await verify(asset)).toBe('repaired');
    await isServed(asset, 'written again');
    expect(await findings()).toEqual([['GENERATION_CHANGED', `object ${idOf(asset)}`, 'repaired']]);
    expect(await verify(asset)).toBe('intact');
  });

  it('takes wrong bytes at another version out of service', async () => {
    const asset = await world.upload('the right bytes');
    await write(asset, 'the wrong bytes');
    expect(await verify(asset)).toBe('damaged');
    await isOutOfService(asset);
    expect(await world.store.stat(at(asset))).toBeNull();
    const kept = world.emulators.client.bucket(QUARANTINE).file(corruptKey(sha256('the right bytes')));
    expect((await kept.download())[0].toString()).toBe('the wrong bytes');
    expect(await findings()).toEqual([['GENERATION_CHANGED', `object ${idOf(asset)}`, 'open']]);
  });

  it.each([
    ['SIZE_CHANGED', 'a longer text than before'],
    ['CORRUPT', 'flipped'],
  ])('takes damaged bytes out of service: %s', async (problem, wrong) => {
    const asset = await world.upload(problem.padEnd(7).slice(0, 7));
    await damage(asset, wrong);
    expect(await verify(asset)).toBe('damaged');
    await isOutOfService(asset);
    expect(await world.objects(QUARANTINE)).toContain(corruptKey(sha256(problem.slice(0, 7))));
    expect(await world.store.stat(at(asset))).toBeNull();
    expect(await findings()).toEqual([[problem, `object ${idOf(asset)}`, 'open']]);
  });

  it('keeps serving an object that only one read found damaged', async () => {
    const asset = await world.upload('read well the second time');
    damagesOnce = true;
    expect(await verify(asset)).toBe('intact');
    await isServed(asset, 'read well the second time');
    expect(await findings()).toEqual([]);
  });

  it('inserts the lost row of a copy whose bytes exist', async () => {
    const asset = await world.upload('lost row');
    const { copies } = await rowOf(asset);
    await world.database.prisma.objectCopy.deleteMany({ where: { storedObjectId: idOf(asset) } });
    expect(await verify(asset)).toBe('repaired');
    await isServed(asset, 'lost row');
    expect((await rowOf(asset)).copies).toEqual(copies);
    const [finding] = await world.database.prisma.integrityFinding.findMany();
    expect(finding).toMatchObject({
      problem: 'GENERATION_CHANGED',
      repaired: true,
      detail: 'The row of the copy was lost.',
      bucket: CONTENT,
      objectKey: asset.objectKey,
      storedObjectId: idOf(asset),
    });
  });

  it('records the lost version of a copy whose bytes exist', async () => {
    const asset = await world.upload('lost version');
    await recordVersion(asset, null);
    expect(await verify(asset)).toBe('repaired');
    await isServed(asset, 'lost version');
  });

  it.each([
    ['are missing', null],
    ['differ', 'other bytes'],
  ])('takes an object out of service whose copy row is lost and whose bytes %s', async (_, bytes) => {
    const asset = await world.upload(`lost row and bytes: ${bytes}`);
    await world.database.prisma.objectCopy.deleteMany({ where: { storedObjectId: idOf(asset) } });
    if (bytes === null) await delete_(asset);
    else await write(asset, bytes);
    expect(await verify(asset)).toBe('damaged');
    await isOutOfService(asset);
    expect(await findings()).toEqual([['MISSING', `object ${idOf(asset)}`, 'open']]);
    // Another upload writes over bytes that no row knows.
    const again = await world.upload(`lost row and bytes: ${bytes}`, {}, actor(1n));
    expect(again.storedObjectId).toBe(asset.storedObjectId);
    expect(await bytesOf(asset)).toBe(`lost row and bytes: ${bytes}`);
  });

  it.each([
    ['type', { contentType: 'text/html' }],
    ['encoding', { contentEncoding: 'gzip' }],
  ])('restores the content %s', async (what, metadata) => {
    const text = `changed content ${what}`;
    const asset = await world.upload(text);
    const first = (await world.store.stat(at(asset)))!;
    await world.emulators.client.bucket(CONTENT).file(asset.objectKey).setMetadata(metadata);
    expect(await world.store.stat(at(asset))).toMatchObject({ version: first.version, ...metadata });
    expect(await verify(asset)).toBe('repaired');
    const restored = { contentType: OCTET_STREAM, contentEncoding: null };
    expect(await world.store.stat(at(asset))).toMatchObject(restored);
    await isServed(asset, text);
    expect(await findings()).toEqual([['CORRUPT', `object ${idOf(asset)}`, 'repaired']]);
    expect(await verify(asset)).toBe('intact');
  });

  it('corrects a wrong recorded size and checksum of bytes with the right hash', async () => {
    const asset = await world.upload('row damaged');
    const { sizeBytes, crc32c } = await rowOf(asset);
    const data = { sizeBytes: 1n, crc32c: 'AAAAAA==' };
    await world.database.prisma.storedObject.update({ where: { id: idOf(asset) }, data });
    expect(await verify(asset)).toBe('repaired');
    expect(await rowOf(asset)).toMatchObject({ state: 'LIVE', sizeBytes, crc32c });
    const subject = `object ${idOf(asset)}`;
    expect(await findings()).toEqual([
      ['SIZE_CHANGED', subject, 'repaired'],
      ['CORRUPT', subject, 'repaired'],
    ]);
  });

  it('takes an object out of service in the scope of one owner', async () => {
    await using scoped = await World.start({ dedupeScope: 'owner' });
    const asset = await scoped.upload('scoped');
    const other = await scoped.upload('scoped', {}, actor(7n));
    await scoped.database.prisma.objectCopy.deleteMany({ where: { storedObjectId: idOf(asset) } });
    const service = scoped.module.get(ObjectVerificationService, { strict: false });
    expect(await service.verify(idOf(asset), NOW)).toBe('repaired');
    const copies = await scoped.database.prisma.objectCopy.findMany({
      orderBy: { storedObjectId: 'asc' },
    });
    expect(copies.map(({ key }) => key)).toEqual([asset.objectKey, other.objectKey]);
  });

  it('closes the findings of an object that an upload has stored again', async () => {
    const asset = await world.upload('stored again');
    await delete_(asset);
    await verify(asset);
    await world.upload('stored again', {}, actor(1n));
    expect(await findings()).toEqual([['MISSING', `object ${idOf(asset)}`, 'open']]);
    expect(await verify(asset)).toBe('intact');
    await isServed(asset, 'stored again');
    expect(await findings()).toEqual([['MISSING', `object ${idOf(asset)}`, 'repaired']]);
  });

  describe('races', () => {
    it('does not mark an object that an upload has stored again', async () => {
      const asset = await world.upload('upload wins');
      await delete_(asset);
      before = { method: 'stat', run: () => undefined };
      // The upload writes and records the copy after the verification saw no object.
      const first = world.store.stat.bind(world.store);
      let isFirst = true;
      world.store.stat = async (...args) => {
        const found = await first(...args);
        if (isFirst) {
          isFirst = false;
          await world.upload('upload wins', {}, actor(1n));
        }
        return found;
      };
      const result = await verify(asset).finally(() => (world.store.stat = first));
      expect(result).toBe('changed');
      expect(await findings()).toEqual([]);
      expect(await bytesOf(asset)).toBe('upload wins');
      expect(await verify(asset)).toBe('intact');
    });

    it('never deletes a newer copy: an upload stores the bytes again during the removal', async () => {
      const asset = await world.upload('newer copy');
      await write(asset, 'wrong bytes');
      before = { method: 'delete', run: () => world.upload('newer copy', {}, actor(1n)) };
      expect(await verify(asset)).toBe('damaged');
      expect((await rowOf(asset)).state).toBe('LIVE');
      expect(await bytesOf(asset)).toBe('newer copy');
      expect(await verify(asset)).toBe('intact');
      expect(await findings()).toEqual([['GENERATION_CHANGED', `object ${idOf(asset)}`, 'repaired']]);
    });

    it('keeps the copy of an upload whose version a verification records first', async () => {
      const asset = await world.upload('recorded by both');
      await delete_(asset);
      const { id, job } = await world.received('recorded by both', {}, actor(1n));
      // The upload has written the copy and not recorded it.
      const recordCopy = world.stored.recordCopy.bind(world.stored);
      world.stored.recordCopy = async (...args) => {
        world.stored.recordCopy = recordCopy;
        expect(await verify(asset)).toBe('repaired');
        const isRecorded = await recordCopy(...args);
        expect(isRecorded).toBe(true);
        return isRecorded;
      };
      await world.process(job);
      expect(world.stored.recordCopy).toBe(recordCopy);
      expect(await world.asset(id)).toMatchObject({ status: 'READY' });
      await isServed(asset, 'recorded by both');
    });

    it('lets go of an object that is purged and collected meanwhile', async () => {
      const asset = await world.upload('purged meanwhile');
      before = {
        method: 'read',
        run: async () => {
          await world.removal.delete(READER, asset.id);
          await world.removal.purge(READER, asset.id);
          await world.database.prisma.storedObject.updateMany({
            where: { id: idOf(asset) },
            data: { pinnedUntil: null },
          });
          await world.collection.collect(idOf(asset), new Date());
        },
      };
      expect(await verify(asset)).toBe('changed');
      expect(await findings()).toEqual([]);
      expect(await world.stored.locations(idOf(asset))).toEqual([]);
    });

    it('deletes the copy that it has made of an object that is being deleted', async () => {
      const asset = await world.upload('rewritten while deleted');
      await world.emulators.client
        .bucket(CONTENT)
        .file(asset.objectKey)
        .setMetadata({ contentType: 'text/html' });
      before = {
        method: 'copy',
        run: () =>
          world.database.prisma.storedObject.update({
            where: { id: idOf(asset) },
            data: { state: 'DELETING' },
          }),
      };
      expect(await verify(asset)).toBe('changed');
      expect(await world.store.stat(at(asset))).toBeNull();
      expect(await findings()).toEqual([]);
    });

    it('does not mark an object whose copy is replaced in a transaction that ends later', async () => {
      const asset = await world.upload('replaced and marked');
      const { version } = (await rowOf(asset)).copies[0]!;
      const client = new pg.Client({ connectionString: world.testDatabase.url });
      await client.connect();
      try {
        await client.query('begin');
        await client.query('select from stored_objects where id = $1 for share', [idOf(asset)]);
        await client.query('update object_copies set version = 7 where stored_object_id = $1', [idOf(asset)]);
        const marking = world.stored.markCorrupt(idOf(asset), version!);
        await until('the mark waits for the lock', async () => {
          const [{ count }] = await world.database.prisma.$queryRaw<[{ count: bigint }]>`
            select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
          return count > 0n || null;
        });
        await client.query('commit');
        expect(await marking).toBe(false);
      } finally {
        await client.end();
      }
      expect(await rowOf(asset)).toMatchObject({ state: 'LIVE', copies: [{ version: '7' }] });
    });

    it('finds no damage in an object whose asset is transferred to another scope meanwhile', async () => {
      await using scoped = await World.start({ dedupeScope: 'owner' });
      const asset = await scoped.upload('transferred meanwhile');
      const read = scoped.store.read.bind(scoped.store);
      let isFirst = true;
      scoped.store.read = (object, options) =>
        Readable.from(
          (async function* () {
            if (isFirst) {
              isFirst = false;
              const operator = actor(999n, { isAdmin: true });
              await scoped.module.get(AssetTransferService).transfer(operator, asset.id, 8n);
            }
            yield* read(object, options);
          })(),
        );
      const service = scoped.module.get(ObjectVerificationService, { strict: false });
      expect(await service.verify(idOf(asset), NOW)).toBe('intact');
      const [old, copy] = await scoped.storedObjects();
      expect(old).toMatchObject({ id: idOf(asset), refCount: 0, lastVerifiedAt: NOW });
      expect(copy).toMatchObject({ refCount: 1, state: 'LIVE' });
      expect(await scoped.database.prisma.integrityFinding.count()).toBe(0);
    });

    it('records one finding when two verifications find the damage', async () => {
      const asset = await world.upload('found twice');
      await damage(asset, 'not found');
      const results = await Promise.all([verify(asset), verify(asset)]);
      expect(results).toContain('damaged');
      await isOutOfService(asset);
      expect(await findings()).toEqual([[expect.stringMatching(/./), `object ${idOf(asset)}`, 'open']]);
    });
  });
});
