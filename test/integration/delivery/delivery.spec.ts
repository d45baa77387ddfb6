import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { actor, World } from '../../support/world.js';

describe('download URLs (real: PostgreSQL, storage emulator)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const headers = async (url: string) => {
    const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    return {
      status: response.status,
      body: await response.text(),
      get: (name: string) => response.headers.get(name),
    };
  };

  it('hands out nothing before READY, and nothing to those who may not read', async () => {
    const pending = await world.request('not there yet');
    expect(await world.urls.sign(actor(), pending.asset, 60, 'ATTACHMENT')).toBeNull();
    const asset = await world.upload('there');
    expect(await world.urls.sign(actor(), asset, 60, 'ATTACHMENT')).not.toBeNull();
    expect(await world.urls.sign(actor(7n), asset, 60, 'ATTACHMENT')).toBeNull();
  });

  it.each([0, -1, 3601])('refuses a life of %i seconds', async (seconds) => {
    const asset = await world.upload(`for ${seconds} seconds`);
    await expect(world.urls.sign(actor(), asset, seconds, 'INLINE')).rejects.toMatchObject({
      kind: 'invalid',
      reason: 'EXPIRY_OUT_OF_RANGE',
    });
  });

  it('shows only safe types in place, under a name that cannot break the header', async () => {
    const safe = await world.upload('text', { filename: 'a "quoted" naïve;name.txt' });
    const shown = await headers((await world.urls.sign(actor(), safe, 60, 'INLINE'))!.url);
    expect(shown.get('content-disposition')).toMatch(
      /^inline; filename="[^"\r\n]*(\\"[^"\r\n]*)*"; filename\*=UTF-8''/,
    );
    const active = await world.upload('<svg xmlns="http://www.w3.org/2000/svg"/>', {
      mimeType: 'image/svg+xml',
    });
    const saved = await headers((await world.urls.sign(actor(), active, 60, 'INLINE'))!.url);
    expect(saved.get('content-disposition')).toMatch(/^attachment;/);
    expect(saved.get('content-type')).toBe('image/svg+xml');
  });

  it('notes the hour at which a URL was last handed out', async () => {
    const asset = await world.upload('read me');
    await world.urls.sign(actor(), asset, 60, 'ATTACHMENT');
    const noted = async (): Promise<Date> => (await world.asset(asset.id)).accessedAt ?? noted();
    const at = await noted();
    expect(at.getTime() % 3_600_000).toBe(0);
    expect(Date.now() - at.getTime()).toBeLessThan(3_600_000);
  });
});
