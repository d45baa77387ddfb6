import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { actor, CONTENT, World } from '../../support/world.js';

describe('variants that a row knows otherwise than storage (real: PostgreSQL, storage emulator, processes that look into files)', () => {
  let world: World;

  beforeAll(async () => {
    world = await World.start({ profiles: ['small=webp:32:80'] });
  });
  afterAll(() => world[Symbol.asyncDispose]());

  it('are written again and noted when the same picture comes next', async () => {
    const background = { r: 1, g: 2, b: 3 };
    const bytes = await sharp({ create: { width: 64, height: 64, channels: 3, background } })
      .png()
      .toBuffer();
    const asPicture = { filename: 'picture.png', mimeType: 'image/png' };
    expect((await world.upload(bytes, asPicture)).status).toBe('READY');
    const variant = () => world.database.prisma.objectVariant.findFirstOrThrow();
    const { key } = await variant();
    // As somebody leaves it who wrote it once more and died before noting that.
    await world.emulators.put({ bucket: CONTENT, key }, Buffer.from('other'), { contentType: 'image/webp' });
    expect((await world.upload(bytes, asPicture, actor(43n))).status).toBe('READY');
    const { version, sizeBytes } = await variant();
    expect(await world.store.stat({ bucket: CONTENT, key })).toMatchObject({ version, sizeBytes });
  });
});
