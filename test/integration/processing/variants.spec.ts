import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { parseProfiles, quarantineKey, specOf, specsOf, unmadeSpecsOf, variantKey } from '#libs/domain';
import { zipArchive } from '#libs/inspection/testing';
import type { ObjectStore, WriteRequest } from '#libs/storage';
import * as samples from '../inspection/samples.js';
import { emptyWorld } from '../../support/empty-world.js';
import { actor, CONTENT, QUARANTINE, sha256, World } from '../../../libs/testing/src/world.js';

const DAY_MS = 24 * 3_600_000;
const JPEG = { filename: 'photo.jpg', mimeType: 'image/jpeg' };
const PROFILES = ['small=webp:32:80', 'large=webp:128:80'];

/** A JPEG with EXIF, of this size and by default of a random colour. */
const picture = (width = 300, height = 200, colour = Math.floor(Math.random() * 2 ** 24)): Promise<Buffer> =>
  sharp({ create: { width, height, channels: 3, background: `#${colour.toString(16).padStart(6, '0')}` } })
    .jpeg()
    .withExif({
      IFD0: { Make: 'Maker', Model: 'Model' },
      IFD2: { DateTimeOriginal: '2024:05:06 07:08:09', OffsetTimeOriginal: '+05:30' },
    })
    .toBuffer();

describe('variants (real: PostgreSQL, queue, storage emulator, inspection processes)', () => {
  let world: World;
  let dieOnce: 'before' | 'after' | undefined;
  beforeAll(async () => {
    const around = (store: ObjectStore): ObjectStore => {
      const write = store.write.bind(store);
      store.write = async (request: WriteRequest, options) => {
        const when = dieOnce;
        dieOnce = undefined;
        if (when === 'before') throw new Error('killed');
        const result = await write(request, options);
        if (when === 'after') throw new Error('killed');
        return result;
      };
      return store;
    };
    world = await World.start({ profiles: PROFILES, around });
  });
  afterEach(() => {
    setProfiles(PROFILES);
    world.scanner.answers.clear();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const setProfiles = (texts: readonly string[]) =>
    world.profiles.splice(0, world.profiles.length, ...parseProfiles(texts));
  /** Removes the assets of other tests, for tests of all stored objects. */
  const empty = async (profiles = PROFILES) => {
    await emptyWorld(world);
    setProfiles(profiles);
  };
  const specs = (texts = PROFILES) => parseProfiles(texts).map(specOf);
  const keysOf = async (bytes: Buffer) =>
    (await world.objects(CONTENT)).filter((key) => key.includes(sha256(bytes))).sort();
  const rowsOf = (id: bigint | null) =>
    world.database.prisma.objectVariant.findMany({
      where: { storedObjectId: id! },
      orderBy: { width: 'asc' },
    });

  it('are made for every image, belong to its stored object and carry only pixels of the original', async () => {
    const bytes = await picture();
    const asset = await world.upload(bytes, JPEG);
    expect(asset).toMatchObject({ status: 'READY', mimeType: 'image/jpeg' });
    const rows = await rowsOf(asset.storedObjectId);
    expect(rows).toMatchObject([
      { name: 'small', width: 32, height: 21, mimeType: 'image/webp' },
      { name: 'large', width: 128, height: 85, mimeType: 'image/webp' },
    ]);
    for (const { key, version, sizeBytes, width, height } of rows) {
      const file = world.emulators.client.bucket(CONTENT).file(key);
      const [metadata] = await file.getMetadata();
      expect([String(metadata.generation), Number(metadata.size)]).toEqual([version, sizeBytes]);
      expect(metadata.contentType).toBe('image/webp');
      const [body] = await file.download();
      const found = await sharp(body).metadata();
      expect(found).toMatchObject({ format: 'webp', width, height });
      expect([found.exif, found.icc, found.xmp]).toEqual([undefined, undefined, undefined]);
    }
    const properties = await world.database.prisma.assetProperties.findUnique({
      where: { assetId: asset.id },
    });
    expect(properties).toMatchObject({
      width: 300,
      height: 200,
      cameraMake: 'Maker',
      thumbhash: expect.stringMatching(/^[A-Za-z0-9+/=]{20,}$/),
    });
    expect((await world.assets.contents([asset.id])).get(asset.id)?.properties).toMatchObject({
      takenAt: new Date('2024-05-06T01:38:09Z'),
      takenAtLocal: '2024-05-06T07:08:09',
    });
  });

  it('are not made for an image larger than the spool, which is rejected as unscannable', async () => {
    await using other = await World.start({ profiles: PROFILES, spoolBytes: 500 });
    const bytes = await picture();
    expect(bytes.length).toBeGreaterThan(500);
    for (const mimeType of ['image/jpeg', 'application/octet-stream']) {
      expect(await other.upload(bytes, { ...JPEG, mimeType })).toMatchObject({
        status: 'REJECTED',
        statusReason: { code: 'UNSCANNABLE', message: expect.stringContaining('too large') as unknown },
      });
    }
  });

  it('are made once for all assets that share an object and are deleted with the last of them', async () => {
    const bytes = await picture();
    const first = await world.upload(bytes, JPEG, actor(1n));
    const made = await rowsOf(first.storedObjectId);
    const second = await world.upload(bytes, JPEG, actor(2n));
    expect(second.storedObjectId).toBe(first.storedObjectId);
    expect(await rowsOf(second.storedObjectId)).toEqual(made);
    await world.removal.purge(actor(1n), first.id);
    expect(await keysOf(bytes)).toHaveLength(3);
    await world.removal.purge(actor(2n), second.id);
    expect(await keysOf(bytes)).toEqual([]);
    expect(await rowsOf(first.storedObjectId)).toEqual([]);
  });

  it('leave the properties of a second upload equal to those of the first', async () => {
    const noise = { type: 'gaussian', mean: 128, sigma: 90 } as const;
    const create = { width: 640, height: 427, channels: 3, background: '#000', noise } as const;
    const bytes = await sharp({ create }).jpeg().toBuffer();
    const found = async (owner: bigint) => {
      const { id } = await world.upload(bytes, JPEG, actor(owner));
      const where = { assetId: id };
      const omit = { assetId: true, ownerId: true, createdAt: true } as const;
      return world.database.prisma.assetProperties.findUniqueOrThrow({ where, omit });
    };
    const first = await found(3n);
    expect(await found(4n)).toEqual(first);
  });

  it.each(['before', 'after'] as const)('are complete when a worker dies %s it wrote one', async (when) => {
    const bytes = await picture();
    const { id, job } = await world.received(bytes, JPEG);
    dieOnce = when;
    await world.process(job);
    expect(await world.asset(id)).toMatchObject({ status: 'PROCESSING', attempt: 2 });
    await world.process(await world.job(id));
    const asset = await world.asset(id);
    expect(asset.status).toBe('READY');
    const rows = await rowsOf(asset.storedObjectId);
    expect(rows).toHaveLength(2);
    for (const { key, version } of rows) {
      const [metadata] = await world.emulators.client.bucket(CONTENT).file(key).getMetadata();
      expect(String(metadata.generation)).toBe(version);
    }
  });

  it('are deleted with an object that was never referenced, even without a recorded version', async () => {
    const bytes = await picture();
    const { id, job } = await world.received(bytes, JPEG);
    dieOnce = 'after';
    await world.process(job);
    const stray = variantKey(sha256(bytes), specs()[0]!);
    expect((await keysOf(bytes)).filter((key) => key.startsWith('variant/'))).toHaveLength(1);
    expect(stray).toContain('variant/');
    await world.runTask('remove-unreferenced', { now: new Date(Date.now() + 3 * DAY_MS) });
    expect(await keysOf(bytes)).toEqual([]);
    await world.process(await world.job(id));
    expect((await world.asset(id)).status).toBe('READY');
    expect(await keysOf(bytes)).toHaveLength(3);
  });

  it('are rebuilt when profiles change, newest first, and outdated ones are deleted', async () => {
    const profiles = ['small=webp:48:80', 'large=webp:128:80', 'tiny=jpeg:16:60'];
    await empty();
    const text = await world.upload('no picture');
    const bytes = await picture();
    const asset = await world.upload(bytes, JPEG);
    const kept = (await world.database.prisma.objectVariant.findMany({ where: { name: 'large' } }))[0]!;
    expect(await world.variantRebuild.next(new Date())).toBe(false);
    setProfiles(profiles);
    expect(await world.variantRebuild.next(new Date())).toBe(true);
    expect(await world.variantRebuild.next(new Date())).toBe(false);
    const rows = await world.database.prisma.objectVariant.findMany({ orderBy: { width: 'asc' } });
    expect(rows.map(({ name, width, mimeType }) => [name, width, mimeType])).toEqual([
      ['tiny', 16, 'image/jpeg'],
      ['small', 48, 'image/webp'],
      ['large', 128, 'image/webp'],
    ]);
    // A variant whose profile did not change is not rebuilt.
    expect(rows[2]).toEqual(kept);
    expect((await world.objects(CONTENT)).sort()).toEqual(
      [...rows.map(({ key }) => key), asset.objectKey, text.objectKey].sort(),
    );
    const object = await world.database.prisma.storedObject.findUniqueOrThrow({
      where: { id: asset.storedObjectId! },
    });
    expect(object).toMatchObject({ variantSpecs: specsOf(parseProfiles(profiles)), claimedUntil: null });
    expect(await world.asset(asset.id)).toMatchObject({ status: 'READY', version: asset.version });
  });

  describe('of an image without a decoder', () => {
    const AVIF = { filename: 'a.avif', mimeType: 'image/avif' };
    const objectOf = (where: World, id: bigint | null) =>
      where.database.prisma.storedObject.findUniqueOrThrow({ where: { id: id! } });

    it('are missing for a reason that every asset of the object reports', async () => {
      await empty();
      const bytes = samples.animatedAvif(30, 20);
      const first = await world.upload(bytes, AVIF, actor(1n));
      const second = await world.upload(bytes, AVIF, actor(2n));
      expect(second).toMatchObject({ status: 'READY', storedObjectId: first.storedObjectId });
      const contents = await world.assets.contents([first.id, second.id]);
      for (const { id } of [first, second]) {
        expect(contents.get(id)).toMatchObject({ variants: [], variantsReason: 'UNSUPPORTED_LAYOUT' });
      }
      expect(await world.variantRebuild.next(new Date())).toBe(false);
    });

    it.each([
      ['a HEIC', samples.heifHead('heic', [20_000, 10_000]), 'image/heic', 'DECODER_MISSING'],
      [
        'an SVG',
        Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'),
        'image/svg+xml',
        'DECODER_MISSING',
      ],
      ['a format that is not detected', Buffer.alloc(99, 3), 'image/x-tga', 'DECODER_MISSING'],
      ['a text, which has no variants', Buffer.from('a text'), 'text/plain', null],
    ])('are missing for the right reason: %s', async (_, bytes, mimeType, reason) => {
      const asset = await world.upload(bytes, { mimeType });
      expect(asset.status).toBe('READY');
      expect((await world.assets.contents([asset.id])).get(asset.id)?.variantsReason).toBe(reason);
    });

    it('are missing without a reason if no profile exists, and as TOO_LARGE for an oversized image', async () => {
      await empty([]);
      const plain = await world.upload(samples.animatedAvif(3, 2), AVIF);
      expect(await objectOf(world, plain.storedObjectId)).toMatchObject({
        variantsReason: null,
        variantSpecs: null,
      });
      await using small = await World.start({
        profiles: PROFILES,
        spoolBytes: 100,
        admitUnscannable: ['image/avif'],
      });
      const large = await small.upload(samples.animatedAvif(3, 2), AVIF);
      expect(await objectOf(small, large.storedObjectId)).toMatchObject({
        variantsReason: 'TOO_LARGE',
        variantSpecs: null,
      });
    });

    it('are retried when the profiles change and made once the decoder supports the image', async () => {
      await empty();
      const layout = await world.upload(samples.animatedAvif(30, 20), AVIF);
      const bytes = await picture();
      const asset = await world.upload(bytes, JPEG);
      // The state that a decoder without support for the layout would leave.
      await world.database.prisma.objectVariant.deleteMany({
        where: { storedObjectId: asset.storedObjectId! },
      });
      await world.database.prisma.storedObject.update({
        where: { id: asset.storedObjectId! },
        data: { variantsReason: 'UNSUPPORTED_LAYOUT' },
      });
      const profiles = parseProfiles(['tiny=webp:16:80']);
      world.profiles.splice(0, world.profiles.length, ...profiles);
      while (await world.variantRebuild.next(new Date()));
      expect(await objectOf(world, asset.storedObjectId)).toMatchObject({
        variantsReason: null,
        claimedUntil: null,
      });
      expect(await objectOf(world, layout.storedObjectId)).toMatchObject({
        variantSpecs: unmadeSpecsOf(profiles),
        variantsReason: 'UNSUPPORTED_LAYOUT',
        claimedUntil: null,
      });
      expect(await world.database.prisma.objectVariant.findMany()).toMatchObject([{ name: 'tiny' }]);
    });
  });

  describe('of an outdated image', () => {
    /** Stores an image, then changes the profiles so that its variants are outdated. */
    const outdated = async () => {
      const bytes = await picture();
      const asset = await world.upload(bytes, JPEG);
      setProfiles(['tiny=jpeg:16:60']);
      const before = await world.objects(CONTENT);
      return { bytes, asset, before };
    };

    it('are not rebuilt if the image is found infected, and its asset is rejected', async () => {
      await empty();
      const { bytes, asset } = await outdated();
      world.scanner.answers.set('Maker', { outcome: 'infected', signature: 'Late.Signature' });
      expect(await world.variantRebuild.next(new Date())).toBe(true);
      expect(await world.asset(asset.id)).toMatchObject({
        status: 'REJECTED',
        statusReason: { code: 'MALWARE' },
      });
      expect(await world.objects(CONTENT)).toEqual([]);
      expect(await world.objects(QUARANTINE)).toEqual([quarantineKey(sha256(bytes))]);
      expect(await world.variantRebuild.next(new Date())).toBe(false);
    });

    it('are kept while the scanner fails on the image', async () => {
      await empty();
      const { asset, before } = await outdated();
      world.scanner.answers.set('Maker', { outcome: 'error', message: 'out of memory' });
      expect(await world.variantRebuild.next(new Date())).toBe(true);
      expect(await world.objects(CONTENT)).toEqual(before);
      expect(await world.asset(asset.id)).toMatchObject({ status: 'READY' });
      // The rebuild is retried after a delay.
      expect(await world.variantRebuild.next(new Date())).toBe(false);
      expect(await world.variantRebuild.next(new Date(Date.now() + 2 * 3_600_000))).toBe(true);
    });
  });

  it('are renamed without a rebuild when only names of profiles change', async () => {
    await empty(['small=webp:32:80', 'large=webp:64:80']);
    const bytes = await picture();
    await world.upload(bytes, JPEG);
    const rows = () => world.database.prisma.objectVariant.findMany({ orderBy: { width: 'asc' } });
    const before = await rows();
    setProfiles(['thumb=webp:32:80', 'small=webp:64:80']);
    // An upload of the image by another owner finds the existing variants.
    await world.upload(bytes, JPEG, actor(44n));
    expect(await world.variantRebuild.next(new Date())).toBe(true);
    expect(await world.variantRebuild.next(new Date())).toBe(false);
    const after = await rows();
    expect(after.map(({ name }) => name)).toEqual(['thumb', 'small']);
    expect(after).toEqual(before.map((row, at) => ({ ...row, name: after[at]!.name })));
  });

  it('are not made for a rejected image, which cannot be decoded or has too many pixels', async () => {
    const whole = await picture(400, 400);
    expect(await world.upload(whole.subarray(0, whole.length / 2), JPEG)).toMatchObject({
      status: 'REJECTED',
      statusReason: { code: 'UNREADABLE' },
    });
    const size = { width: 20_000, height: 20_000 };
    const huge = await sharp({
      create: { ...size, channels: 3, background: '#fff' },
      limitInputPixels: false,
    })
      .png({ compressionLevel: 9 })
      .toBuffer();
    expect(await world.upload(huge, { mimeType: 'image/png' })).toMatchObject({
      status: 'REJECTED',
      statusReason: { code: 'TOO_MANY_PIXELS' },
    });
  });
});

describe('unscannable content', () => {
  it('is rejected as UNSCANNABLE unless its type is admitted', async () => {
    const sealed = zipArchive([{ name: 'a.txt', content: 'secret', lies: { flags: 1 } }]);
    const large = zipArchive([{ name: 'a.bin', content: Buffer.alloc(200_000, 1), method: 0 }]);
    const zip = { mimeType: 'application/zip' };
    await using strict = await World.start({ spoolBytes: 100_000 });
    for (const bytes of [sealed, large]) {
      expect(await strict.upload(bytes, zip)).toMatchObject({
        status: 'REJECTED',
        statusReason: { code: 'UNSCANNABLE' },
      });
    }
    // No reader handles this type, so the file needs no space in the spool.
    const blob = { mimeType: 'application/octet-stream' };
    expect(await strict.upload(Buffer.alloc(200_000, 1), blob)).toMatchObject({ status: 'READY' });
    await using open = await World.start({ spoolBytes: 100_000, admitUnscannable: ['application/zip'] });
    for (const bytes of [sealed, large]) {
      expect(await open.upload(bytes, zip)).toMatchObject({ status: 'READY', mimeType: 'application/zip' });
    }
  });
});
