import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import type { Database } from '#libs/database';
import { actor, requestFor, storeAsset, until, World } from '#libs/testing';

const JPEG = { filename: 'photo.jpg', mimeType: 'image/jpeg' };
/** A JPEG of this width with a local time of taking, or without one. */
const picture = (width: number, taken?: string): Promise<Buffer> =>
  sharp({ create: { width, height: 10, channels: 3, background: '#abc' } })
    .jpeg()
    .withExif({ IFD0: { Make: 'Maker' }, ...(taken && { IFD2: { DateTimeOriginal: taken } }) })
    .toBuffer();
const MAY = '2024:05:06 07:08:09';
const JUNE = '2024:06:07 08:09:10';
/** Local times are held as if in UTC. */
const instantOf = (taken: string) =>
  new Date(`${taken.replace(':', '-').replace(':', '-').replace(' ', 'T')}Z`);

/** Real: PostgreSQL, whose triggers keep the copies, and the pipeline, which writes properties. */
describe('the copies of an asset in its grants, metadata and properties', () => {
  let world: World;
  let database: Database;
  beforeAll(async () => {
    world = await World.start();
    ({ database } = world);
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  const grant = async (assetId: string, principal: string) =>
    database.prisma.assetAcl.create({ data: { assetId, principal, permission: 'READ' } });
  const copies = (assetId: string) =>
    database.prisma.assetAcl.findMany({
      where: { assetId },
      select: { createdAt: true, sizeBytes: true, sortName: true },
    });
  const update = (assetId: string, data: { filename?: string; sizeBytes?: bigint; ownerId?: bigint }) =>
    database.prisma.mediaAsset.update({ where: { assetId }, data });

  it('are filled when the row is added', async () => {
    const createdAt = new Date('2026-01-01T10:00:00.123Z');
    const id = await storeAsset(database, { filename: 'Ärger.JPG', createdAt, properties: { width: 1 } });
    await grant(id, 'user:7');
    expect(await copies(id)).toEqual([{ createdAt, sizeBytes: 1000n, sortName: 'ärger.jpg' }]);
    const metadata = { assetId: id, key: 'a', value: 'b' };
    expect(await database.prisma.assetMetadata.create({ data: metadata })).toEqual({
      ...metadata,
      ownerId: 42n,
      createdAt,
    });
  });

  it('are filled by the statement of an older release, which creates the asset too', async () => {
    const of = await storeAsset(database, { filename: 'A.jpg' });
    const id = randomUUID();
    const columns = `bucket, object_key, filename, mime_type, declared_type, size_bytes, checksum_sha256, status, upload_method,
      request_id, url_expires_at, upload_deadline_at, next_check_at, created_at, updated_at`;
    const { rows } = await database.pool.query(
      `with item as (select $1::uuid as id),
        created as (
          insert into media_assets (asset_id, owner_id, ${columns})
          select i.id, 43, ${columns.replace('status', `'PENDING'`)} from item i, media_assets where asset_id = $2
          returning asset_id),
        described as (insert into asset_metadata (asset_id, key, value) select id, 'a', 'b' from item),
        shared as (insert into asset_acl (asset_id, principal, permission) select id, '*', 'READ' from item)
      select asset_id from created`,
      [id, of],
    );
    expect(rows).toHaveLength(1);
    expect(await copies(id)).toMatchObject([{ sizeBytes: 1000n, sortName: 'a.jpg' }]);
    const metadata = await database.prisma.assetMetadata.findFirst({ where: { assetId: id } });
    expect(metadata).toMatchObject({ ownerId: 43n, createdAt: expect.any(Date) as unknown });
  });

  it('follow changes of the asset', async () => {
    const id = await storeAsset(database, { properties: { width: 1 } });
    await grant(id, 'user:7');
    await database.prisma.assetMetadata.create({ data: { assetId: id, key: 'a', value: 'b' } });
    await update(id, { filename: 'New.png' });
    await update(id, { sizeBytes: 5n });
    await update(id, { ownerId: 7n });
    expect(await copies(id)).toMatchObject([{ sizeBytes: 5n, sortName: 'new.png' }]);
    const where = { assetId: id };
    expect(await database.prisma.assetMetadata.findFirst({ where })).toMatchObject({ ownerId: 7n });
    expect(await database.prisma.assetProperties.findFirst({ where })).toMatchObject({ ownerId: 7n });
  });

  it('agree with the asset after a grant and a change at once', async () => {
    for (let round = 0; round < 20; round++) {
      const id = await storeAsset(database, {});
      const filename = `name ${round}`;
      await Promise.all([grant(id, 'user:7'), update(id, { filename }), grant(id, 'user:8')]);
      expect(await copies(id)).toMatchObject([{ sortName: filename }, { sortName: filename }]);
    }
  });

  describe('the time of taking', () => {
    const acl = [{ principal: 'user:7', permissions: ['READ' as const] }];
    const timesOf = async (assetId: string) =>
      (await database.prisma.assetAcl.findMany({ where: { assetId }, orderBy: { principal: 'asc' } })).map(
        ({ takenAtLocal }) => takenAtLocal,
      );
    const replace = async (id: string, bytes: Buffer | string, more: object) => {
      const { asset, ticket } = await world.uploads.replace(actor(), id, requestFor(bytes, more), 'test');
      expect(await world.put(ticket, bytes)).toBe(200);
      await world.completion.checkObject(asset.id);
      await world.process(await world.job(asset.id));
      expect(await world.asset(asset.id)).toMatchObject({ status: 'DELETED' });
    };
    const LOCKED = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    /** Runs statements about an asset in a transaction that commits once `other` waits for its locks. */
    async function inTransaction(id: string, statements: readonly string[], other: () => Promise<unknown>) {
      const client = await database.pool.connect();
      try {
        await client.query('begin');
        for (const text of statements) await client.query(text, [id]);
        const running = other();
        await until('the other transaction waits', async () => {
          return (await database.pool.query(LOCKED)).rows.length > 0 || null;
        });
        await client.query('commit');
        await running;
      } finally {
        client.release(true);
      }
    }

    it('is filled at READY in grants of the request and later ones, and in grants that follow', async () => {
      const { id, job } = await world.received(await picture(10, MAY), { ...JPEG, acl });
      await grant(id, 'user:8');
      expect(await timesOf(id)).toEqual([null, null]);
      await world.process(job);
      await grant(id, 'user:9');
      expect(await timesOf(id)).toEqual([instantOf(MAY), instantOf(MAY), instantOf(MAY)]);
    });

    it('stays empty for bytes without one', async () => {
      const { id } = await world.upload(await picture(11), { ...JPEG, acl });
      await grant(id, 'user:8');
      expect(await timesOf(id)).toEqual([null, null]);
    });

    it('follows the replacement of the bytes', async () => {
      const { id } = await world.upload(await picture(12, MAY), { ...JPEG, acl });
      await replace(id, await picture(13, JUNE), JPEG);
      expect(await timesOf(id)).toEqual([instantOf(JUNE)]);
      await replace(id, 'a text', {});
      expect(await timesOf(id)).toEqual([null]);
      await replace(id, await picture(14, MAY), JPEG);
      expect(await timesOf(id)).toEqual([instantOf(MAY)]);
    });

    it('is filled in the grants of an upload that shares existing bytes', async () => {
      const bytes = await picture(15, MAY);
      await world.upload(bytes, JPEG);
      const { asset, ticket } = await world.request(bytes, { ...JPEG, acl });
      expect([asset.status, ticket]).toEqual(['READY', null]);
      expect(await timesOf(asset.id)).toEqual([instantOf(MAY)]);
    });

    it('is filled in a grant that waits for the end of processing', async () => {
      const id = await storeAsset(database, { properties: null });
      const ready = [
        'update media_assets set version = version + 1 where asset_id = $1',
        `insert into asset_properties (asset_id, owner_id, created_at, taken_at_local)
           select asset_id, owner_id, created_at, '2024-05-06 07:08:09' from media_assets where asset_id = $1`,
      ];
      await inTransaction(id, ready, () => grant(id, 'user:7'));
      expect(await timesOf(id)).toEqual([instantOf(MAY)]);
    });

    it('is filled in a grant whose transaction the end of processing waits for', async () => {
      const { id, job } = await world.received(await picture(16, MAY), JPEG);
      const granting = [`insert into asset_acl values ($1, 'user:7', 'READ')`];
      await inTransaction(id, granting, () => world.process(job));
      expect(await timesOf(id)).toEqual([instantOf(MAY)]);
    });

    it('agrees with the properties after grants and a replacement at once', async () => {
      const { id } = await world.upload(await picture(17, MAY), JPEG);
      await Promise.all([
        replace(id, await picture(18, JUNE), JPEG),
        ...Array.from({ length: 20 }, (_, n) => grant(id, `user:${100 + n}`)),
      ]);
      expect(new Set((await timesOf(id)).map(String))).toEqual(new Set([String(instantOf(JUNE))]));
    });

    it('leaves no rows behind when the asset is purged', async () => {
      const { id } = await world.upload(await picture(19, MAY), { ...JPEG, acl });
      await world.removal.purge(actor(), id);
      const where = { assetId: id };
      expect(await database.prisma.mediaAsset.count({ where })).toBe(0);
      expect(await database.prisma.assetProperties.count({ where })).toBe(0);
      expect(await timesOf(id)).toEqual([]);
    });

    it('is filled and repaired by the migrations', async () => {
      const [old, stale] = await Promise.all([
        storeAsset(database, { properties: { takenAtLocal: '2024-05-06T07:08:09' } }),
        storeAsset(database, { properties: { width: 1 } }),
      ]);
      await grant(old, 'user:7');
      await grant(stale, 'user:7');
      const set = (assetId: string, takenAtLocal: Date | null) =>
        database.prisma.assetAcl.updateMany({ where: { assetId }, data: { takenAtLocal } });
      await set(old, null);
      await set(stale, instantOf(JUNE));
      for (const name of ['20261201000051_taken_time_copies', '20261201000053_taken_time_repairs']) {
        await database.pool.query(readFileSync(`prisma/migrations/${name}/migration.sql`, 'utf8'));
      }
      expect(await timesOf(old)).toEqual([instantOf(MAY)]);
      expect(await timesOf(stale)).toEqual([null]);
    });
  });
});
