import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { actor, CONTENT, World } from '../../../libs/testing/src/world.js';

describe('variants whose recorded version differs from storage (real: PostgreSQL, storage emulator, inspection processes)', () => {
  let world: World;

  beforeAll(async () => {
    world = await World.start({ profiles: ['small=webp:32:80'] });
  });
  afterAll(() => world[Symbol.asyncDispose]());

  it('are rewritten and recorded with the next upload of the image', async () => {
    const background = { r: 1, g: 2, b: 3 };
    const bytes = await sharp({ create: { width: 64, height: 64, channels: 3, background } })
      .png()
      .toBuffer();
    const asImage = { filename: 'picture.png', mimeType: 'image/png' };
    expect((await world.upload(bytes, asImage)).status).toBe('READY');
    const variant = () => world.database.prisma.objectVariant.findFirstOrThrow();
    const { key } = await variant();
    // The state after a worker rewrote the variant and died before it recorded the new version.
    await world.emulators.put({ bucket: CONTENT, key }, Buffer.from('other'), { contentType: 'image/webp' });
    expect((await world.upload(bytes, asImage, actor(43n))).status).toBe('READY');
    const { version, sizeBytes } = await variant();
    expect(await world.store.stat({ bucket: CONTENT, key })).toMatchObject({ version, sizeBytes });
  });
});
