import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { NO_PROPERTIES } from '#libs/domain';
import { propertyColumns } from '../../../libs/assets/src/asset-contents.js';
import { actor, World } from '../../../libs/testing/src/world.js';

const FOUND = {
  ...NO_PROPERTIES,
  width: 40,
  height: 30,
  takenAt: new Date('1950-05-05T05:05:05.005Z'),
  takenAtLocal: '1950-05-05T03:35:05.005',
  cameraMake: 'Leica',
  cameraModel: 'M3',
  hasLocation: true,
  latitude: 0.1,
  longitude: -179.99999999999997,
};

describe('asset contents (real: PostgreSQL, queue, storage emulator)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const contents = async (id: string) => (await world.assets.contents([id])).get(id);

  /** Uploads an asset and writes the properties, scanner and variant that processing would record. */
  async function inspected(bytes: string, ownerId: bigint) {
    const asset = await world.upload(bytes, {}, actor(ownerId));
    const { id: assetId, createdAt } = asset;
    const { prisma } = world.database;
    const row = { ownerId, createdAt, ...propertyColumns(FOUND) };
    await prisma.assetProperties.upsert({ where: { assetId }, create: { assetId, ...row }, update: row });
    await prisma.mediaAsset.update({ where: { assetId }, data: { scannedBy: 'ClamAV 1.4/27000' } });
    await prisma.objectVariant.create({
      data: {
        storedObjectId: asset.storedObjectId!,
        spec: 'webp-20-q80-r1',
        name: 'tiny',
        mimeType: 'image/webp',
        width: 20,
        height: 15,
        sizeBytes: 100,
        bucket: 'content',
        key: `variant/${assetId}`,
        version: '7',
        createdAt,
      },
    });
    return asset;
  }

  it('returns the recorded properties, variants and scanner', async () => {
    const { id } = await inspected('a first picture', 42n);
    expect(await contents(id)).toEqual({
      properties: FOUND,
      featureProperties: {},
      variants: [
        {
          name: 'tiny',
          mimeType: 'image/webp',
          width: 20,
          height: 15,
          sizeBytes: 100,
          bucket: 'content',
          key: `variant/${id}`,
        },
      ],
      variantsReason: null,
      scannedBy: 'ClamAV 1.4/27000',
    });
  });

  it('copies the contents to an asset that shares an existing object of its owner', async () => {
    const by = actor(43n);
    const first = await inspected('a second picture', 43n);
    const { id, ticket, asset } = await world.request('a second picture', { filename: 'again.txt' }, by);
    expect(ticket).toBeNull();
    expect(await contents(id)).toEqual(await contents(first.id));
    const row = await world.database.prisma.assetProperties.findUniqueOrThrow({ where: { assetId: id } });
    expect(row).toMatchObject({ ownerId: 43n, createdAt: asset.createdAt });
    const { found } = await world.assets.list(by, {
      scope: 'OWN',
      by: 'created',
      filter: { ownerId: 43n, properties: { cameraMake: 'leica' } },
      statuses: ['READY'],
      direction: 'asc',
      limit: 10,
    });
    expect(found.map((each) => each.asset.id)).toEqual([first.id, id]);
  });

  it('shares an existing object without properties', async () => {
    const first = await world.upload('a third picture', {}, actor(44n));
    await world.database.prisma.assetProperties.deleteMany({ where: { assetId: first.id } });
    const { id, ticket } = await world.request('a third picture', {}, actor(44n));
    expect(ticket).toBeNull();
    expect(await contents(id)).toMatchObject({ properties: null });
  });

  it('keeps the contents through delete and restore and removes them on purge', async () => {
    const by = actor(45n);
    const { id } = await inspected('a fourth picture', 45n);
    await world.removal.delete(by, id);
    expect(await contents(id)).toMatchObject({ properties: FOUND, variants: [] });
    await world.removal.restore(by, id);
    expect(await contents(id)).toMatchObject({ properties: FOUND, variants: [{ name: 'tiny' }] });
    await world.removal.purge(by, id);
    expect(await contents(id)).toBeUndefined();
    expect(await world.database.prisma.assetProperties.count({ where: { assetId: id } })).toBe(0);
  });
});
