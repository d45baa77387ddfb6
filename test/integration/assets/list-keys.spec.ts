import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Database, DatabaseConfig } from '#libs/database';
import { configured } from '#libs/runtime';
import { storeAsset } from '#libs/testing';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';

/** Real: PostgreSQL, whose triggers keep the copies. */
describe('the copies of an asset in its grants, metadata and properties', () => {
  let testDatabase: TestDatabase;
  let database: Database;
  beforeAll(async () => {
    testDatabase = await createTestDatabase();
    database = new Database(configured(DatabaseConfig, { url: testDatabase.url, poolSize: 5 }));
  });
  afterAll(async () => {
    await database.onApplicationShutdown();
    await testDatabase.drop();
  });

  const grant = (assetId: string, principal: string) =>
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
});
