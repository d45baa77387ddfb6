import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { contentKey, parseProfiles, specsOf } from '#libs/domain';
import type { ObjectStore } from '#libs/storage';
import { actor, CONTENT, QUARANTINE, sha256, World } from '../../../libs/testing/src/world.js';

const JPEG = { filename: 'photo.jpg', mimeType: 'image/jpeg' };
const PROFILES = ['small=webp:32:80', 'large=webp:128:80'];
const NO_QUOTA = { usedBytes: 0, usedAssets: 0, reservedBytes: 0, reservedAssets: 0 };

type Call = (key: string, bucket: string) => Promise<void> | void;

/** Wraps a store and runs hooks just before and after its calls. */
class StoreHooks {
  readonly before = new Map<keyof ObjectStore, Call>();
  readonly after = new Map<keyof ObjectStore, Call>();

  readonly around = (store: ObjectStore): ObjectStore =>
    new Proxy(store, {
      get: (target, name: keyof ObjectStore) => {
        const own: unknown = target[name];
        if (typeof own !== 'function' || name === 'read') {
          return typeof own === 'function' ? (own.bind(target) as unknown) : own;
        }
        const method = own.bind(target) as (...args: unknown[]) => Promise<unknown>;
        return async (...args: unknown[]) => {
          const first = args[0] as { key: string; bucket: string } | { to: { key: string; bucket: string } };
          const { key, bucket } = 'to' in first ? first.to : first;
          await this.before.get(name)?.(key, bucket);
          const answer = await method(...args);
          await this.after.get(name)?.(key, bucket);
          return answer;
        };
      },
    });
}

const picture = (): Promise<Buffer> =>
  sharp({
    create: {
      width: 300,
      height: 200,
      channels: 3,
      background: `#${Math.floor(Math.random() * 2 ** 24)
        .toString(16)
        .padStart(6, '0')}`,
    },
  })
    .jpeg()
    .toBuffer();

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe('races of processing with deletion and quarantine (real: PostgreSQL, storage emulator)', () => {
  const hooks = new StoreHooks();
  let world: World;
  beforeAll(async () => {
    world = await World.start({ around: hooks.around, profiles: PROFILES });
  });
  afterAll(() => world[Symbol.asyncDispose]());
  afterEach(() => {
    hooks.before.clear();
    hooks.after.clear();
    world.scanner.answers.clear();
    world.profiles.splice(0, world.profiles.length, ...parseProfiles(PROFILES));
  });

  const keysOf = async (bytes: Buffer | string) =>
    (await world.objects(CONTENT)).filter((key) => key.includes(sha256(bytes)));
  const variantsOf = (id: bigint | null) =>
    world.database.prisma.objectVariant.findMany({ where: { storedObjectId: id! } });
  const once = (name: keyof ObjectStore, bucket: string, work: Call) =>
    hooks.before.set(name, async (key, where) => {
      if (where !== bucket) return;
      hooks.before.delete(name);
      await work(key, where);
    });

  it('rebuilds variants that were deleted with the last other asset during processing', async () => {
    const bytes = await picture();
    const first = await world.upload(bytes, JPEG, actor(1n));
    const { id, job } = await world.received(bytes, JPEG, actor(2n));
    const stage = world.stored.stage.bind(world.stored);
    world.stored.stage = async (...content) => {
      world.stored.stage = stage;
      await world.removal.purge(actor(1n), first.id);
      return stage(...content);
    };
    await world.process(job);
    const asset = await world.asset(id);
    expect(asset.status).toBe('READY');
    while (await world.variantRebuild.next(new Date()));
    expect(await variantsOf(asset.storedObjectId)).toHaveLength(2);
    const object = await world.database.prisma.storedObject.findUnique({
      where: { id: asset.storedObjectId! },
    });
    expect(object).toMatchObject({ variantSpecs: specsOf(parseProfiles(PROFILES)) });
  });

  it('deletes variants of removed profiles even after another upload of the image', async () => {
    const bytes = await picture();
    const first = await world.upload(bytes, JPEG, actor(3n));
    world.profiles.splice(0, world.profiles.length, ...parseProfiles(['tiny=webp:16:80']));
    await world.upload(bytes, JPEG, actor(4n));
    while (await world.variantRebuild.next(new Date()));
    expect((await variantsOf(first.storedObjectId)).map(({ name }) => name)).toEqual(['tiny']);
  });

  it('leaves no variant that was written while its object was collected', async () => {
    const bytes = await picture();
    const asset = await world.upload(bytes, JPEG, actor(5n));
    while (await world.variantRebuild.next(new Date()));
    world.profiles.splice(0, world.profiles.length, ...parseProfiles([...PROFILES, 'tiny=webp:16:80']));
    const [checked, written] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let purge: Promise<void> | undefined;
    once('write', CONTENT, async (key) => {
      hooks.after.set('stat', async (at) => {
        if (at !== key) return;
        hooks.after.delete('stat');
        // The collector has found no object. It resumes once the rebuild has recorded or discarded its variant.
        checked.resolve();
        await written.promise;
      });
      purge = world.removal.purge(actor(5n), asset.id);
      await checked.promise;
      let isDiscarded = false;
      hooks.after.set('delete', (at) => void (isDiscarded ||= at === key));
      void until(async () => {
        const rows = await variantsOf(asset.storedObjectId);
        return isDiscarded || rows.every(({ version }) => version !== null);
      }).then(written.resolve);
    });
    await world.variantRebuild.next(new Date());
    await purge;
    expect(await variantsOf(asset.storedObjectId)).toEqual([]);
    expect(await keysOf(bytes)).toEqual([]);
  });

  it('leaves no infected bytes that were copied while they were quarantined', async () => {
    const bytes = 'found infected during the test';
    const first = await world.upload(bytes, {}, actor(6n));
    const { id, job } = await world.received(bytes, {}, actor(7n));
    once('copy', CONTENT, async () => {
      await world.stored.markInfected({ id: first.storedObjectId! });
      await world.runTask('quarantine');
    });
    await world.process(job);
    expect(await world.asset(id)).toMatchObject({ status: 'REJECTED', statusReason: { code: 'MALWARE' } });
    expect(await keysOf(bytes)).toEqual([]);
  });

  it('quarantines stored bytes at once when an upload of equal content is infected', async () => {
    const bytes = 'a sleeper without a signature';
    const first = await world.upload(bytes, {}, actor(8n));
    const url = (await world.urls.sign(actor(8n), first, 60, 'ATTACHMENT'))!.url;
    world.scanner.answers.set('a sleeper', { outcome: 'infected', signature: 'Late.Signature' });
    expect(await world.upload(bytes, {}, actor(9n))).toMatchObject({ status: 'REJECTED' });
    expect(await world.asset(first.id)).toMatchObject({
      status: 'REJECTED',
      statusReason: { code: 'MALWARE' },
    });
    expect((await fetch(url)).status).toBe(404);
    expect(await world.quotas.of(8n)).toMatchObject(NO_QUOTA);
  });

  it('rejects all infected assets although one object cannot be moved', async () => {
    const texts = ['condemned one', 'condemned two'];
    const assets = [];
    for (const text of texts) assets.push(await world.upload(text, {}, actor(10n)));
    for (const { storedObjectId: id } of assets) await world.stored.markInfected({ id: id! });
    hooks.before.set('copy', (key, bucket) => {
      if (bucket === QUARANTINE && key.includes(sha256(texts[0]!))) throw new Error('forbidden');
    });
    await world.runTask('quarantine');
    for (const { id } of assets) expect(await world.asset(id)).toMatchObject({ status: 'REJECTED' });
    expect(await world.objects(CONTENT)).not.toContain(contentKey(sha256(texts[1]!)));
    hooks.before.clear();
    await world.runTask('quarantine');
    expect(await world.objects(CONTENT)).not.toContain(contentKey(sha256(texts[0]!)));
  });
});
