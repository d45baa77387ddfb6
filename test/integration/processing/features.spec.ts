import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Registry } from 'prom-client';
import sharp from 'sharp';
import { FeaturePropertiesRepository } from '#libs/content';
import { Prisma } from '#libs/database';
import { InspectionExtensions } from '#libs/inspection';
import { defineFeature } from '#libs/stowage';
import { emptyWorld } from '../../support/empty-world.js';
import { actor, INCOMING, requestFor, World } from '../../../libs/testing/src/world.js';

/** A niced process on a busy machine takes long to get its seconds of CPU time. */
const TIMEOUT_MS = 600_000;
const HOUR_MS = 3_600_000;
const module = new URL('../inspection/feature-module.ts', import.meta.url);
const tracks = defineFeature({
  name: 'tracks',
  compatibility: '*',
  readers: [
    {
      ...{ id: 'track', revision: 1, seconds: 5, module },
      types: /^application\/gpx\+xml$/,
      properties: {
        trackLengthMeters: { type: 'float', min: 0, max: 1e9 },
        name: { type: 'text', maxLength: 20 },
        isLoop: { type: 'boolean' },
      },
    },
  ],
  contentChecks: [
    { id: 'tracks', revision: 1, seconds: 5, types: /^text\/xml$/, module, reasons: ['TRACKS_REFUSED'] },
  ],
  variants: ['tile=webp:60x60:80:cover'],
});

const GPX = { filename: 'a.gpx', mimeType: 'application/gpx+xml' };
let count = 0;
/** A track with these commands for the module, unlike every other. */
const track = (commands: string) => `<?xml version="1.0"?><gpx>${commands}<n>${count++}</n></gpx>`;

describe('readers and checks of features (real: PostgreSQL, queue, storage emulator, processes)', () => {
  let world: World;
  let extensions: InspectionExtensions;
  beforeAll(async () => {
    world = await World.start({ features: [tracks], profiles: ['small=webp:80:80'] });
    extensions = world.module.get(InspectionExtensions);
  });
  beforeEach(() => {
    Object.assign(extensions.readers[0]!, { revision: 1 });
    Object.assign(extensions.checks[0]!, { revision: 1 });
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const found = async (...ids: string[]) => {
    const contents = await world.assets.contents(ids);
    return ids.map((id) => contents.get(id)?.featureProperties);
  };
  const objectOf = (id: bigint | null) =>
    world.database.prisma.storedObject.findUniqueOrThrow({ where: { id: id! } });

  it('add properties to the stored object, which all its assets have', async () => {
    const bytes = track('read length 12.5');
    const first = await world.upload(bytes, GPX);
    expect(first).toMatchObject({ status: 'READY', mimeType: GPX.mimeType });
    const duplicate = await world.request(bytes, GPX);
    expect(duplicate).toMatchObject({ asset: { status: 'READY' }, ticket: null });
    const other = await world.upload(bytes, GPX, actor(43n));
    const track12 = { track: { trackLengthMeters: 12.5, name: 'a track' } };
    expect(await found(first.id, duplicate.id, other.id)).toEqual([track12, track12, track12]);
    const text = await world.upload('read length 1');
    const unread = await world.upload(track('read nothing'), GPX);
    expect(await found(text.id, unread.id)).toEqual([{}, {}]);
    expect(await objectOf(text.storedObjectId)).toMatchObject({ readBy: 'track@1', featureProperties: null });
  });

  it('add variants to the configured ones', async () => {
    const create = { width: 200, height: 100, channels: 3, background: '#abc' } as const;
    const picture = await sharp({ create }).png().toBuffer();
    const { id } = await world.upload(picture, { mimeType: 'image/png' });
    expect((await world.assets.contents([id])).get(id)?.variants).toMatchObject([
      { name: 'tile', width: 60, height: 60 },
      { name: 'small', width: 80, height: 40 },
    ]);
  });

  it.each(['throw', 'exit', 'text', 'loop'])(
    'leave a file READY without properties when a reader fails: %s',
    async (behaviour) => {
      const bytes = track(`read ${behaviour}`);
      const { id, status, attempt } = await world.upload(bytes, GPX);
      expect([status, attempt, await found(id)]).toEqual(['READY', 1, [{}]]);
      expect(await world.module.get(Registry).metrics()).toMatch(
        /stowage_feature_reads_total\{reader="track",outcome="failed"\} [1-9]/,
      );
      // Later uploads of the bytes are accepted too: the time of a feature's reader costs its content nothing.
      expect(await world.upload(bytes, GPX, actor(44n))).toMatchObject({ status: 'READY', attempt: 1 });
    },
    TIMEOUT_MS,
  );

  it('drop properties that were not declared or are out of bounds', async () => {
    const { id } = await world.upload(track('read hostile'), GPX);
    expect(await found(id)).toEqual([{ track: { name: `a name${'x'.repeat(14)}`, isLoop: true } }]);
  });

  it.each([GPX.mimeType, 'text/xml', 'text/plain', 'application/octet-stream'])(
    'reject a file for the reason of a check, declared as %s',
    async (mimeType) => {
      const asset = await world.upload(track('check refuse'), { mimeType });
      expect(asset).toMatchObject({
        status: 'REJECTED',
        statusReason: { code: 'TRACKS_REFUSED', message: 'Not accepted' },
        storedObjectId: null,
      });
      expect(await world.objects(INCOMING)).not.toContain(asset.id);
    },
  );

  it('check the bytes of each upload, whoever stored them before', async () => {
    const bytes = track('');
    await world.upload(bytes, GPX, actor(45n));
    Object.assign(extensions.checks[0]!, { revision: 2 });
    const { id } = await world.upload(bytes, GPX, actor(46n));
    const where = { assetId: id };
    const { passedChecks } = await world.database.prisma.mediaAsset.findUniqueOrThrow({ where });
    expect(passedChecks).toEqual(['tracks@2']);
  });

  it.each(['undeclared', 'throw', 'exit'])(
    'never make a file READY when its check fails to run: %s',
    async (behaviour) => {
      const { id } = await world.upload(track(`check ${behaviour}`), GPX);
      for (let attempt = 2; attempt <= 5; attempt++) {
        expect(await world.asset(id)).toMatchObject({ status: 'PROCESSING', attempt });
        await world.process(await world.job(id));
      }
      expect(await world.asset(id)).toMatchObject({
        status: 'FAILED',
        statusReason: { code: 'PROCESSING_FAILED' },
      });
    },
    TIMEOUT_MS,
  );

  it(
    'reject a file whose check exceeds its time limit twice',
    async () => {
      const bytes = track('check loop');
      const { id, attempt } = await world.upload(bytes, GPX);
      expect(attempt).toBe(2);
      await world.process(await world.job(id));
      const rejected = { status: 'REJECTED', statusReason: { code: 'TOO_COSTLY' } };
      expect(await world.asset(id)).toMatchObject(rejected);
      expect(await world.upload(bytes, GPX, actor(47n))).toMatchObject({ ...rejected, attempt: 1 });
    },
    TIMEOUT_MS,
  );

  describe('of a file larger than the disk space of inspections', () => {
    const large = { spoolBytes: 1000, profiles: [] };
    const padding = ' '.repeat(2000);

    it('read nothing, and the file is READY', async () => {
      await using small = await World.start({ ...large, features: [{ ...tracks, contentChecks: [] }] });
      const { id, status } = await small.upload(track(`read length 1${padding}`), GPX);
      expect(status).toBe('READY');
      expect((await small.assets.contents([id])).get(id)?.featureProperties).toEqual({});
    });

    it('reject the file, since it cannot be checked', async () => {
      const admitUnscannable = ['text/*', 'application/*'];
      await using small = await World.start({ ...large, admitUnscannable, features: [tracks] });
      expect(await small.upload(track(padding), GPX)).toMatchObject({
        status: 'REJECTED',
        statusReason: { code: 'TOO_COSTLY', message: expect.stringContaining('too large') as unknown },
      });
    });
  });

  it('share bytes with an own duplicate only if they passed the registered checks', async () => {
    const bytes = track('');
    await world.upload(bytes, GPX);
    const checksOf = async (id: string) =>
      (await world.database.prisma.mediaAsset.findUniqueOrThrow({ where: { assetId: id } })).passedChecks;
    const duplicate = await world.request(bytes, GPX);
    expect([duplicate.ticket, await checksOf(duplicate.id)]).toEqual([null, ['tracks@1']]);

    Object.assign(extensions.checks[0]!, { revision: 2 });
    const { ticket } = await world.request(bytes, GPX);
    expect(ticket).not.toBeNull();
    const batch = await world.uploads.requestAll(
      actor(),
      [GPX, GPX].map((more) => ({ ...requestFor(bytes), ...more })),
      'r',
    );
    expect(batch).toMatchObject([{ asset: { status: 'PENDING' } }, { asset: { status: 'PENDING' } }]);

    const checked = await world.upload(bytes, GPX);
    expect([checked.status, await checksOf(checked.id)]).toEqual(['READY', ['tracks@2']]);
    const shared = await world.request(bytes, GPX);
    expect([shared.ticket, await checksOf(shared.id)]).toEqual([null, ['tracks@2']]);
  });

  describe('of stored files', () => {
    const readAll = async () => {
      let read = 0;
      while (await world.reread.next(new Date())) read += 1;
      return read;
    };
    /** Records properties that a reader would no longer find. */
    const setStale = (id: bigint | null) =>
      world.database.prisma.storedObject.update({
        where: { id: id! },
        data: { featureProperties: { track: { trackLengthMeters: 1 }, other: { a: 1 } } },
      });
    const stale = { trackLengthMeters: 1 };

    it('read them again at a new revision, for all their assets, and no others', async () => {
      await emptyWorld(world);
      const bytes = track('read length 7');
      const asset = await world.upload(bytes, GPX);
      const duplicate = await world.request(bytes, GPX);
      const text = await world.upload('another type');
      await setStale(asset.storedObjectId);
      expect(await readAll()).toBe(0);

      Object.assign(extensions.readers[0]!, { revision: 2 });
      expect(await readAll()).toBe(1);
      const expected = { track: { trackLengthMeters: 7, name: 'a track' }, other: { a: 1 } };
      expect(await found(asset.id, duplicate.id)).toEqual([expected, expected]);
      for (const { storedObjectId } of [asset, text]) {
        expect(await objectOf(storedObjectId)).toMatchObject({ readBy: 'track@2', claimedUntil: null });
      }
      expect(await world.asset(asset.id)).toMatchObject({ status: 'READY', version: asset.version });
    });

    it('read them again although the bytes were uploaded meanwhile under a type without a reader', async () => {
      await emptyWorld(world);
      const bytes = track('read length 7');
      const { id, storedObjectId } = await world.upload(bytes, GPX);
      await setStale(storedObjectId);
      Object.assign(extensions.readers[0]!, { revision: 2 });
      expect((await world.upload(bytes, { mimeType: 'text/plain' }, actor(48n))).status).toBe('READY');
      expect(await found(id)).toMatchObject([{ track: stale }]);
      expect(await readAll()).toBe(1);
      expect(await found(id)).toMatchObject([{ track: { trackLengthMeters: 7 } }]);
    });

    it('read files that were stored before the feature was added', async () => {
      await emptyWorld(world);
      const { id, storedObjectId } = await world.upload(track('read length 7'), GPX);
      await world.database.prisma.storedObject.updateMany({
        data: { readBy: null, featureProperties: Prisma.DbNull },
      });
      expect(await found(id)).toEqual([{}]);
      expect(await readAll()).toBe(1);
      expect(await found(id)).toEqual([{ track: { trackLengthMeters: 7, name: 'a track' } }]);
      expect(await objectOf(storedObjectId)).toMatchObject({ readBy: 'track@1' });
    });

    it('remove properties that a new revision does not find', async () => {
      await emptyWorld(world);
      const { id, storedObjectId } = await world.upload(track('read nothing'), GPX);
      await setStale(storedObjectId);
      Object.assign(extensions.readers[0]!, { revision: 2 });
      expect(await readAll()).toBe(1);
      expect(await found(id)).toEqual([{ other: { a: 1 } }]);
    });

    it('keep the properties when the reader fails, and do not try again', async () => {
      await emptyWorld(world);
      const { id, storedObjectId } = await world.upload(track('read throw'), GPX);
      await setStale(storedObjectId);
      Object.assign(extensions.readers[0]!, { revision: 2 });
      expect(await readAll()).toBe(1);
      expect(await found(id)).toMatchObject([{ track: stale }]);
      expect(await world.reread.next(new Date(Date.now() + 2 * HOUR_MS))).toBe(false);
    });

    it('keep the properties when a later upload of the bytes is not readable', async () => {
      const bytes = track('read throw');
      const { id, storedObjectId } = await world.upload(bytes, GPX);
      await setStale(storedObjectId);
      await world.upload(bytes, GPX, actor(48n));
      expect(await found(id)).toMatchObject([{ track: stale }]);
    });

    it('read an object once when two workers find it', async () => {
      await emptyWorld(world);
      await world.upload(track('read length 7'), GPX);
      Object.assign(extensions.readers[0]!, { revision: 2 });
      const { reread } = world;
      const results = await Promise.all([reread.next(new Date()), reread.next(new Date())]);
      expect(results.toSorted()).toEqual([false, true]);
    });

    it('leave the notes of another release alone while both run', async () => {
      await emptyWorld(world);
      const { id, storedObjectId } = await world.upload(track('read length 7'), GPX);
      const noted = async () => (await objectOf(storedObjectId)).readBy;
      const [ours] = extensions.readers;
      const setReaders = (...readers: { id: string; revision: number }[]) =>
        Object.assign(extensions, { readers: readers.map((reader) => ({ ...ours!, ...reader })) });
      try {
        setReaders({ id: 'track', revision: 2 });
        expect(await readAll()).toBe(1);
        await setStale(storedObjectId);
        setReaders({ id: 'other', revision: 3 }, { id: 'track', revision: 1 });
        expect(await readAll()).toBe(1);
        expect(await noted()).toBe('other@3 track@2');
        expect(await found(id)).toMatchObject([{ track: stale, other: { trackLengthMeters: 7 } }]);
        for (const revision of [2, 1]) {
          setReaders({ id: 'track', revision });
          expect(await readAll()).toBe(0);
        }
        expect(await noted()).toBe('other@3 track@2');
      } finally {
        Object.assign(extensions, { readers: [ours] });
      }
    });

    it('keep the properties of a later revision when an older release stores the bytes again', async () => {
      const bytes = track('read length 7');
      const { id, storedObjectId } = await world.upload(bytes, GPX);
      await setStale(storedObjectId);
      await world.upload(bytes, GPX, actor(49n));
      expect(await found(id)).toMatchObject([{ track: stale, other: { a: 1 } }]);
    });

    it('search once for several files', async () => {
      await emptyWorld(world);
      for (let n = 1; n <= 3; n++) await world.upload(track(`read length ${n}`), GPX);
      Object.assign(extensions.readers[0]!, { revision: 2 });
      const search = jest.spyOn(world.module.get(FeaturePropertiesRepository), 'findReadBy');
      expect(await readAll()).toBe(3);
      expect(search).toHaveBeenCalledTimes(1);
    });

    it('wait an hour with an object that could not be scanned', async () => {
      await emptyWorld(world);
      const { id, storedObjectId } = await world.upload(track('read length 7'), GPX);
      await setStale(storedObjectId);
      Object.assign(extensions.readers[0]!, { revision: 2 });
      world.scanner.answers.set('gpx', { outcome: 'error', message: 'out of memory' });
      expect(await readAll()).toBe(1);
      expect(await found(id)).toMatchObject([{ track: stale }]);
      world.scanner.answers.clear();
      expect(await world.reread.next(new Date())).toBe(false);
      expect(await world.reread.next(new Date(Date.now() + 2 * HOUR_MS))).toBe(true);
      expect(await found(id)).toMatchObject([{ track: { trackLengthMeters: 7 } }]);
    });
  });
});
