import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { actor, CONTENT, sha256, World } from '../../../libs/testing/src/world.js';

const OWNER = actor(42n);

describe('collection with damaged rows (real: PostgreSQL, storage emulator; a scripted scanner)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const collect = (isDryRun = false) => world.runTask('remove-unreferenced', { isDryRun });
  const answerOf = async (id: string) => {
    const signed = await world.urls.sign(OWNER, await world.asset(id), 60, 'ATTACHMENT');
    return (await fetch(signed!.url)).text();
  };

  it('keeps bytes whose reference count is too low', async () => {
    const asset = await world.upload('counted too low');
    const id = asset.storedObjectId!;
    await world.database.prisma.storedObject.update({ where: { id }, data: { refCount: 0 } });
    expect(await collect(true)).toMatchObject({ outcome: 'succeeded', changed: 0 });
    expect(await collect()).toMatchObject({ outcome: 'succeeded', changed: 0, failed: 0 });
    expect(await world.collection.collect(id, new Date())).toBe(false);
    expect(await answerOf(asset.id)).toBe('counted too low');
    const object = await world.database.prisma.storedObject.findUniqueOrThrow({ where: { id } });
    expect(object.state).toBe('LIVE');
  });

  it('removes an object whose copy lost its row, so that the same bytes can be uploaded again', async () => {
    const asset = await world.upload('copy without a row');
    const where = { storedObjectId: asset.storedObjectId! };
    await world.database.prisma.objectCopy.deleteMany({ where });
    await world.removal.purge(OWNER, asset.id);
    expect(await collect()).toMatchObject({ outcome: 'succeeded', failed: 0 });
    const rows = await world.database.prisma.storedObject.count({ where: { id: asset.storedObjectId! } });
    expect(rows).toBe(0);
    const again = await world.upload('copy without a row');
    expect(again.status).toBe('READY');
    expect(await answerOf(again.id)).toBe('copy without a row');
    expect(await world.objects(CONTENT)).toContain(`content/${sha256('copy without a row')}`);
  });
});
