import { randomInt } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { corruptKey, parseProfiles } from '#libs/domain';
import type { ObjectStore } from '#libs/storage';
import sharp from 'sharp';
import { actor, CONTENT, QUARANTINE, sha256, World } from '../../../libs/testing/src/world.js';

const READER = actor(42n);
const SMALL = 'small=webp:32:80';
const JPEG = { filename: 'a.jpg', mimeType: 'image/jpeg' };

/** A JPEG of a random colour. */
const picture = (): Promise<Buffer> => {
  const background = { r: randomInt(256), g: randomInt(256), b: randomInt(256) };
  return sharp({ create: { width: 60, height: 40, channels: 3, background } })
    .jpeg()
    .toBuffer();
};

describe('corrupt stored objects (real: PostgreSQL, storage emulator; a scripted scanner)', () => {
  let world: World;
  /** Makes the next read of a stored object return damaged bytes. */
  let damagesOnce = false;
  beforeAll(async () => {
    const around = (store: ObjectStore): ObjectStore => {
      const read = store.read.bind(store);
      store.read = (object, options) => {
        if (!damagesOnce || object.bucket !== CONTENT) return read(object, options);
        damagesOnce = false;
        return Readable.from([Buffer.from('damaged in transit')]);
      };
      return store;
    };
    world = await World.start({ around, profiles: [SMALL] });
  });
  afterAll(() => world[Symbol.asyncDispose]());
  beforeEach(() => {
    damagesOnce = false;
    world.profiles.splice(0, Infinity, ...parseProfiles([SMALL]));
  });

  const stateOf = async (id: bigint | null) =>
    (await world.database.prisma.storedObject.findUniqueOrThrow({ where: { id: id! } })).state;
  const urlOf = async (id: string, by = READER) =>
    (await world.urls.sign(by, await world.asset(id), 60, 'ATTACHMENT'))?.url;
  const bytesAt = async (url: string | undefined) =>
    Buffer.from(await (await fetch(url!)).arrayBuffer()).toString('latin1');
  const rescan = async () => {
    world.scanner.label = `scripted ${Math.random()}`;
    while ((await world.rescan.next(new Date())) !== null);
  };

  /** Replaces the stored bytes and records their version, so that the row still matches storage. */
  async function damage(asset: { objectKey: string; storedObjectId: bigint | null }, bytes = 'other bytes') {
    const at = { bucket: CONTENT, key: asset.objectKey };
    await world.emulators.put(at, Buffer.from(bytes), { contentType: 'application/octet-stream' });
    const { version } = (await world.store.stat(at))!;
    await world.database.prisma.objectCopy.updateMany({
      where: { storedObjectId: asset.storedObjectId! },
      data: { version },
    });
  }

  async function isOutOfService(asset: { id: string; objectKey: string; storedObjectId: bigint | null }) {
    expect(await stateOf(asset.storedObjectId)).toBe('CORRUPT');
    expect(await world.asset(asset.id)).toMatchObject({ status: 'READY', isCorrupt: true });
    expect(await urlOf(asset.id)).toBeUndefined();
    expect(await world.store.stat({ bucket: CONTENT, key: asset.objectKey })).toBeNull();
  }

  it('stops serving an object that a scan finds damaged, even through existing URLs', async () => {
    const asset = await world.upload('scanned again');
    const url = await urlOf(asset.id);
    await damage(asset, 'rotten bytes!');
    await rescan();
    await isOutOfService(asset);
    expect((await fetch(url!)).status).toBe(404);
    const kept = world.emulators.client.bucket(QUARANTINE).file(corruptKey(sha256('scanned again')));
    expect((await kept.download())[0].toString()).toBe('rotten bytes!');
    // The next scan covers the other objects and does not read this one again.
    world.scanner.scanned.length = 0;
    await rescan();
    expect(world.scanner.scanned).not.toContain(sha256('scanned again'));
  });

  it('keeps serving an object that only one read found damaged', async () => {
    const asset = await world.upload('read well the second time');
    damagesOnce = true;
    await rescan();
    expect(damagesOnce).toBe(false);
    expect(await stateOf(asset.storedObjectId)).toBe('LIVE');
    expect(await bytesAt(await urlOf(asset.id))).toBe('read well the second time');
  });

  it('stops serving an image that is found damaged when its variants are rebuilt', async () => {
    const asset = await world.upload(await picture(), JPEG);
    await damage(asset);
    world.profiles.splice(0, Infinity, ...parseProfiles(['tiny=webp:16:80']));
    while (await world.variantRebuild.next(new Date()));
    await isOutOfService(asset);
    const where = { storedObjectId: asset.storedObjectId! };
    const variants = await world.database.prisma.objectVariant.findMany({ where });
    expect(variants.map(({ name }) => name)).toEqual(['small']);
  });

  it('restores the object from the next upload for all assets that share it', async () => {
    const bytes = 'lost and found';
    const [first, second] = [
      await world.upload(bytes, {}, actor(1n)),
      await world.upload(bytes, {}, actor(2n)),
    ];
    await damage(first);
    await rescan();
    await isOutOfService(first);
    const third = await world.upload(bytes, {}, actor(3n));
    expect(third).toMatchObject({ status: 'READY', storedObjectId: first.storedObjectId });
    expect(await stateOf(first.storedObjectId)).toBe('LIVE');
    for (const [{ id }, by] of [
      [first, actor(1n)],
      [second, actor(2n)],
      [third, actor(3n)],
    ] as const) {
      expect(await bytesAt(await urlOf(id, by))).toBe(bytes);
    }
    const row = await world.database.prisma.storedObject.findUniqueOrThrow({
      where: { id: first.storedObjectId! },
    });
    expect(row.refCount).toBe(3);
  });

  it.each([
    ['has', SMALL],
    ['has no', 'tiny=webp:16:80'],
  ])('restores a picture that %s variants of the present profiles', async (_, profile) => {
    const bytes = await picture();
    const first = await world.upload(bytes, JPEG, actor(1n));
    await damage(first);
    await rescan();
    await isOutOfService(first);
    world.profiles.splice(0, Infinity, ...parseProfiles([profile]));
    const second = await world.upload(bytes, JPEG, actor(2n));
    expect(second).toMatchObject({ status: 'READY', attempt: 1, storedObjectId: first.storedObjectId });
    expect(await stateOf(first.storedObjectId)).toBe('LIVE');
    const contents = (await world.assets.contents([first.id])).get(first.id);
    expect(contents?.variants.map(({ name }) => name)).toContain(profile.split('=')[0]);
  });

  it('detects damaged bytes during another upload and replaces them', async () => {
    const bytes = 'met by another upload';
    const first = await world.upload(bytes, {}, actor(1n));
    await damage(first, 'same length as wanted');
    const second = await world.upload(bytes, {}, actor(2n));
    expect(second).toMatchObject({ status: 'READY', storedObjectId: first.storedObjectId });
    expect(await stateOf(first.storedObjectId)).toBe('LIVE');
    expect(await bytesAt(await urlOf(first.id, actor(1n)))).toBe(bytes);
    expect(await world.objects(QUARANTINE)).toContain(corruptKey(sha256(bytes)));
  });

  it('requires the bytes of an owner’s duplicate when the object is corrupt', async () => {
    const asset = await world.upload('own duplicate', {}, actor(7n));
    await damage(asset);
    await rescan();
    const { ticket } = await world.request('own duplicate', {}, actor(7n));
    expect(ticket).not.toBeNull();
  });

  it('restores and purges an asset whose object is corrupt', async () => {
    const asset = await world.upload('restored and purged', {}, actor(8n));
    await world.removal.delete(actor(8n), asset.id);
    await damage(asset);
    await rescan();
    expect(await world.removal.restore(actor(8n), asset.id)).toMatchObject({
      status: 'READY',
      isCorrupt: true,
    });
    await world.removal.purge(actor(8n), asset.id);
    await world.runTask('remove-unreferenced');
    const left = await world.database.prisma.storedObject.findUnique({
      where: { id: asset.storedObjectId! },
    });
    expect(left).toBeNull();
  });

  it('does not mark an object corrupt after its copy was replaced', async () => {
    const asset = await world.upload('a newer copy');
    expect(await world.stored.markCorrupt(asset.storedObjectId!, '1')).toBe(false);
    expect(await stateOf(asset.storedObjectId)).toBe('LIVE');
  });
});
