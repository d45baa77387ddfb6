import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Asset } from '#libs/assets';
import { Clock } from '#libs/database';
import type { Actor } from '#libs/domain';
import { withLocalClockOff } from '../../support/local-clock.js';
import { LIMIT_MS, until } from '../../../libs/testing/src/until.js';
import { actor, CONTENT, World } from '../../../libs/testing/src/world.js';

describe('download URLs (real: PostgreSQL, storage emulator)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const headers = async (url: string) => {
    const response = await fetch(url, { signal: AbortSignal.timeout(LIMIT_MS) });
    return {
      status: response.status,
      body: await response.text(),
      get: (name: string) => response.headers.get(name),
    };
  };

  it('signs no URL before READY or for callers without read access', async () => {
    const pending = await world.request('not there yet');
    expect(await world.urls.sign(actor(), pending.asset, 60, 'ATTACHMENT')).toBeNull();
    const asset = await world.upload('there');
    expect(await world.urls.sign(actor(), asset, 60, 'ATTACHMENT')).not.toBeNull();
    expect(await world.urls.sign(actor(7n), asset, 60, 'ATTACHMENT')).toBeNull();
  });

  it('signs no URL while the clock is off by more than the limit', async () => {
    const asset = await world.upload('at what time?');
    const sign = () => world.urls.sign(actor(), asset, 60, 'ATTACHMENT');
    await withLocalClockOff(-3_600_000, world.module.get(Clock), () =>
      expect(sign()).rejects.toMatchObject({ kind: 'unavailable', reason: 'CLOCK_OFFSET' }),
    );
    expect((await headers((await sign())!.url)).status).toBe(200);
  });

  it.each([-2, 2])('signs with database time while the local clock is %i hours ahead', async (hours) => {
    const asset = await world.upload(`${hours} hours ahead`);
    const clock = world.module.get(Clock);
    const check = jest.spyOn(clock, 'check').mockReturnValue();
    const download = await withLocalClockOff(hours * 3_600_000, clock, () =>
      world.urls.sign(actor(), asset, 3600, 'ATTACHMENT'),
    ).finally(() => check.mockRestore());
    expect((await headers(download!.url)).status).toBe(200);
  });

  it.each([0, -1, 3601])('rejects a lifetime of %i seconds', async (seconds) => {
    const asset = await world.upload(`for ${seconds} seconds`);
    await expect(world.urls.sign(actor(), asset, seconds, 'INLINE')).rejects.toMatchObject({
      kind: 'invalid',
      reason: 'EXPIRY_OUT_OF_RANGE',
    });
  });

  describe('a caller whose grant ends', () => {
    const asReader = async (endsInMs: number) => {
      const expiresAt = new Date(Date.now() + endsInMs);
      const acl = [{ principal: 'user:7', permissions: ['READ' as const], expiresAt }];
      const { id } = await world.upload(`lent for ${endsInMs} ms`, { acl });
      return { asset: (await world.assets.find(actor(7n), id))!, expiresAt };
    };
    const VARIANT = { name: 'small', mimeType: 'image/webp', width: 1, height: 1, sizeBytes: 1 };
    const signed = async (by: Actor, asset: Asset, seconds: number) => {
      const urls = [
        await world.urls.sign(by, asset, seconds, 'ATTACHMENT'),
        await world.urls.signVariant(by, asset, { ...VARIANT, bucket: CONTENT, key: 'variant/x' }, seconds),
      ];
      return urls.map((url) => url && url.expiresAt.getTime());
    };

    it('gets URLs that end with the grant', async () => {
      const { asset, expiresAt } = await asReader(900_000);
      for (const end of await signed(actor(7n), asset, 3600)) {
        expect(end).toBeLessThanOrEqual(expiresAt.getTime());
        expect(end).toBeGreaterThan(expiresAt.getTime() - 2_000);
      }
      for (const by of [actor(42n), actor(1n, { isAdmin: true })]) {
        for (const end of await signed(by, asset, 3600)) expect(end).toBeGreaterThan(expiresAt.getTime());
      }
    });

    it('gets URLs that end as requested before the grant', async () => {
      const { asset, expiresAt } = await asReader(3_000_000);
      for (const end of await signed(actor(7n), asset, 60)) {
        expect(end).toBeLessThan(expiresAt.getTime() - 2_000_000);
      }
    });

    it('gets no URL in the last second of the grant', async () => {
      const { asset } = await asReader(800_000);
      const now = world.module.get(Clock).now().getTime();
      const endsIn = (milliseconds: number) => ({
        ...asset,
        granted: [{ ...asset.granted[0]!, until: new Date(now + milliseconds) }],
      });
      expect(await signed(actor(7n), endsIn(999), 60)).toEqual([null, null]);
      expect(await signed(actor(7n), endsIn(-1), 60)).toEqual([null, null]);
    });
  });

  it('serves only safe types inline, under a name that cannot break the header', async () => {
    const safe = await world.upload('text', { filename: 'a "quoted" naïve;name.txt' });
    const shown = await headers((await world.urls.sign(actor(), safe, 60, 'INLINE'))!.url);
    expect(shown.get('content-disposition')).toMatch(
      /^inline;filename="[^"\r\n]*(\\"[^"\r\n]*)*";filename\*=UTF-8''/,
    );
    const active = await world.upload('<svg xmlns="http://www.w3.org/2000/svg"/>', {
      mimeType: 'image/svg+xml',
    });
    const saved = await headers((await world.urls.sign(actor(), active, 60, 'INLINE'))!.url);
    expect(saved.get('content-disposition')).toMatch(/^attachment;/);
    expect(saved.get('content-type')).toBe('image/svg+xml');
  });

  it.each([
    'Q3 report (final) + notes.txt',
    'C++ & Rust=1.txt',
    'Re\u0301sume\u0301 50%25.txt',
    '👩‍💻 ~ ŝ.txt',
  ])('signs a URL that survives re-encoding and keeps the name %s', async (filename) => {
    const asset = await world.upload(`the bytes of ${filename}`, { filename });
    const { url } = (await world.urls.sign(actor(), asset, 60, 'ATTACHMENT'))!;
    const values = [...new URL(url).searchParams.values()];
    expect(values.filter((value) => /[ +]/.test(value))).toEqual([]);
    const again = new URL(url);
    again.search = String(new URLSearchParams(again.search));
    for (const href of [url, again.href]) {
      const { status, body, get } = await headers(href);
      expect([status, body]).toEqual([200, `the bytes of ${filename}`]);
      const [, name = ''] = /;filename\*=UTF-8''(.*)$/.exec(get('content-disposition') ?? '') ?? [];
      expect(decodeURIComponent(name)).toBe(filename.normalize('NFC'));
    }
  });

  it('records the hour in which a URL was last signed', async () => {
    const asset = await world.upload('read me');
    await world.urls.sign(actor(), asset, 60, 'ATTACHMENT');
    const accessedAt = async (): Promise<Date> => (await world.asset(asset.id)).accessedAt ?? accessedAt();
    const at = await accessedAt();
    expect(at.getTime() % 3_600_000).toBe(0);
    expect(Date.now() - at.getTime()).toBeLessThan(3_600_000);
  });

  describe('variant URLs', () => {
    const BYTES = Buffer.from('smaller');
    const variant = (mimeType = 'image/webp') => ({
      name: 'small',
      mimeType,
      width: 320,
      height: 240,
      sizeBytes: BYTES.length,
      bucket: CONTENT,
      key: 'variant/of/it',
    });
    beforeAll(() => world.emulators.put(variant(), BYTES, { contentType: 'application/x-of-no-matter' }));

    it.each([
      ['holiday.HEIC', 'image/webp', 'holiday.webp'],
      ['two.dots.tar', 'image/jpeg', 'two.dots.jpg'],
      ['none', 'image/avif', 'none.avif'],
      ['.hidden', 'image/webp', '.hidden.webp'],
      ['trailing.', 'image/webp', 'trailing.webp'],
    ])('serves the variant of %s as %s inline under the name %s', async (filename, mimeType, name) => {
      const asset = await world.upload(`a picture called ${filename}`, { filename });
      const { url } = (await world.urls.signVariant(actor(), asset, variant(mimeType), 60))!;
      const shown = await headers(url);
      expect(shown).toMatchObject({ status: 200, body: 'smaller' });
      expect(shown.get('content-type')).toBe(mimeType);
      expect(shown.get('content-disposition')).toBe(`inline;filename="${name}"`);
    });

    it('escapes characters of the file name that would break the header', async () => {
      const asset = await world.upload('a quoted picture', { filename: 'a "quoted" naïve;name.txt' });
      const { url } = (await world.urls.signVariant(actor(), asset, variant(), 60))!;
      expect((await headers(url)).get('content-disposition')).toBe(
        `inline;filename="a__quoted__naive;name.webp";filename*=UTF-8''a%20%22quoted%22%20na%C3%AFve%3Bname.webp`,
      );
    });

    it('signs no variant URL before READY, after deletion or rejection, or without read access', async () => {
      const sign = (by: Actor, asset: Asset) => world.urls.signVariant(by, asset, variant(), 60);
      const { asset: pending } = await world.request('a picture to come');
      expect(await sign(actor(), pending)).toBeNull();
      const asset = await world.upload('a picture');
      expect(await sign(actor(), asset)).not.toBeNull();
      expect(await sign(actor(7n), asset)).toBeNull();
      for (const status of ['DELETED', 'REJECTED'] as const) {
        expect(await sign(actor(), { ...asset, status })).toBeNull();
      }
    });

    it.each([0, -1, 3601])('rejects a lifetime of %i seconds', async (seconds) => {
      const asset = await world.upload(`a picture for ${seconds} seconds`);
      await expect(world.urls.signVariant(actor(), asset, variant(), seconds)).rejects.toMatchObject({
        kind: 'invalid',
        reason: 'EXPIRY_OUT_OF_RANGE',
      });
    });

    it('records the access to the asset', async () => {
      const asset = await world.upload('a picture to be read');
      await world.urls.signVariant(actor(), asset, variant(), 60);
      await until('the access is recorded', async () => (await world.asset(asset.id)).accessedAt);
    });
  });
});
