import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { parseProfiles } from '#libs/domain';
import { sha256, World } from '../../../libs/testing/src/world.js';

const PROFILES = ['small=webp:32:80', 'tiny=webp:16:80'];
const JPEG = { filename: 'a.jpg', mimeType: 'image/jpeg' };

describe('lost rows of variants (real: PostgreSQL, storage emulator, file readers; a scripted scanner)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start({ profiles: PROFILES });
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const picture = async (red: number) => {
    const background = { r: red, g: 10, b: 20 };
    const bytes = await sharp({ create: { width: 60, height: 40, channels: 3, background } })
      .jpeg()
      .toBuffer();
    const asset = await world.upload(bytes, JPEG);
    return { id: asset.id, objectId: asset.storedObjectId!, bytes };
  };
  const namesOf = async (id: string) =>
    (await world.assets.contents([id])).get(id)!.variants.map(({ name }) => name);
  const findingsOf = async (storedObjectId: bigint) => {
    const found = await world.database.prisma.integrityFinding.findMany({ where: { storedObjectId } });
    return found.map(({ subject, problem, repaired }) => ({ subject, problem, repaired }));
  };
  const lose = (storedObjectId: bigint, spec?: string) =>
    world.database.prisma.objectVariant.deleteMany({ where: { storedObjectId, spec } });
  const compare = (isDryRun = false) => world.runTask('collect-orphans', { isDryRun });

  it.each([
    ['one', 1, 'webp-32-q80-r1'],
    ['all', 2, undefined],
  ])('builds variants again of which %s lost the row', async (_, red, spec) => {
    const { id, objectId } = await picture(red);
    const { count } = await lose(objectId, spec);
    expect(await namesOf(id)).toHaveLength(2 - count);
    const action = expect.objectContaining({ action: 'rebuild', subject: `variants of object ${objectId}` });
    expect((await compare(true)).actions).toContainEqual(action);
    expect((await compare()).actions).toContainEqual(action);
    expect(await world.runTask('variants')).toMatchObject({ changed: 1, failed: 0 });
    expect(await namesOf(id)).toEqual(['tiny', 'small']);
    const specs = spec === undefined ? ['webp-16-q80-r1', 'webp-32-q80-r1'] : [spec];
    expect(await findingsOf(objectId)).toEqual(
      specs.map((lost) => ({ subject: `variant ${objectId}/${lost}`, problem: 'MISSING', repaired: true })),
    );
    expect((await compare()).changed).toBe(0);
  });

  it('does not report variants that could not be built for new profiles', async () => {
    const { id, objectId, bytes } = await picture(100);
    const cost = { scope: '', sha256: sha256(bytes), exhausted: 2, limits: world.inspector.limits };
    await world.database.prisma.contentCost.create({ data: { ...cost, updatedAt: new Date() } });
    const before = [...world.profiles];
    world.profiles.push(...parseProfiles(['large=webp:48:80']));
    try {
      const action = { action: 'rebuild', subject: `variants of object ${objectId}` };
      expect((await world.runTask('variants')).actions).toContainEqual(action);
      expect(await namesOf(id)).toEqual(['tiny', 'small']);
      expect((await compare(true)).changed).toBe(0);
      expect((await compare()).changed).toBe(0);
      expect(await findingsOf(objectId)).toEqual([]);
      // Until the profiles change again.
      expect((await world.runTask('variants')).changed).toBe(0);
      world.profiles.push(...parseProfiles(['huge=webp:50:80']));
      expect((await world.runTask('variants', { isDryRun: true })).actions).toContainEqual(action);
    } finally {
      world.profiles.splice(0, world.profiles.length, ...before);
      await world.runTask('variants');
    }
  });

  it('leaves an object alone whose variants a worker builds', async () => {
    const { id, objectId } = await picture(200);
    const where = { id: objectId };
    const claimedUntil = new Date(Date.now() + 60_000);
    await world.database.prisma.storedObject.update({ where, data: { claimedUntil } });
    await lose(objectId);
    expect((await compare()).changed).toBe(0);
    await world.database.prisma.storedObject.update({ where, data: { claimedUntil: null } });
    expect((await compare()).changed).toBe(1);
    expect(await world.runTask('variants')).toMatchObject({ changed: 1, failed: 0 });
    expect(await namesOf(id)).toHaveLength(2);
  });
});
