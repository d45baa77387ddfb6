import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { contentKey, INSTALLATION_KEY, OCTET_STREAM, unavailable } from '#libs/domain';
import type { ObjectStore } from '#libs/storage';
import { emptyWorld } from '../../support/empty-world.js';
import { inconsistencies } from '../../support/consistency.js';
import { CONTENT, INCOMING, sha256, World } from '../../../libs/testing/src/world.js';

const later = () => new Date(Date.now() + 9 * 24 * 3_600_000);
const BYTES = 'stored at the same time';
const KEY = contentKey(sha256(BYTES));

type Hook = () => Promise<void>;

describe('races of orphans with uploads (real: PostgreSQL, storage emulator)', () => {
  let world: World;
  /** Work that is done once, just before or after a call that concerns the content bucket. */
  const before = new Map<string, Hook>();
  const after = new Map<string, Hook>();
  beforeAll(async () => {
    const around = (store: ObjectStore): ObjectStore => {
      const wrap = (name: 'stat' | 'copy' | 'delete') => {
        const method = store[name].bind(store) as (...args: unknown[]) => Promise<unknown>;
        const run = async (hooks: Map<string, Hook>) => {
          const hook = hooks.get(name);
          hooks.delete(name);
          await hook?.();
        };
        const isOfContent = (first: unknown) => {
          const at = first as { key?: string; to?: { key: string } };
          return (at.to?.key ?? at.key) === KEY;
        };
        Object.assign(store, {
          [name]: async (...args: unknown[]) => {
            if (!isOfContent(args[0])) return method(...args);
            await run(before);
            const answer = await method(...args);
            await run(after);
            return answer;
          },
        });
      };
      for (const name of ['stat', 'copy', 'delete'] as const) wrap(name);
      return store;
    };
    world = await World.start({ around, profiles: ['small=webp:32:80'] });
  });
  afterAll(() => world[Symbol.asyncDispose]());
  beforeEach(async () => {
    before.clear();
    after.clear();
    await emptyWorld(world);
    await world.runTask('collect-orphans');
    await world.emulators.put({ bucket: CONTENT, key: KEY }, Buffer.from(BYTES), {
      contentType: OCTET_STREAM,
    });
  });

  const collect = (isDryRun = false) => world.runTask('collect-orphans', { now: later(), isDryRun });
  const bytesAt = async (key: string) =>
    (await world.emulators.client.bucket(CONTENT).file(key).download())[0].toString();

  async function isStored(id: string) {
    const asset = await world.asset(id);
    expect(asset.status).toBe('READY');
    expect(await bytesAt(asset.objectKey)).toBe(BYTES);
    expect(await world.storedObjects()).toMatchObject([{ state: 'LIVE', refCount: 1 }]);
    expect(await inconsistencies(world.testDatabase.url, world.emulators)).toEqual([]);
    expect(await collect()).toMatchObject({ changed: 0, failed: 0 });
  }

  it.each([
    ['before storage is asked to delete it', before],
    ['after storage has deleted it', after],
  ])('makes an upload of the same bytes wait when it comes %s', async (_, hooks) => {
    const { id, job } = await world.received(BYTES);
    let refusal: unknown;
    hooks.set('delete', async () => {
      expect(await world.storedObjects()).toMatchObject([{ state: 'DELETING' }]);
      refusal = await world.process(job).catch((error: unknown) => error);
    });
    expect(await collect()).toMatchObject({ changed: 1, failed: 0 });
    expect(refusal).toMatchObject({ reason: 'STORED_OBJECT_BUSY' });
    await world.process(job);
    await isStored(id);
  });

  it.each([
    ['before it copies', before],
    ['after it has copied, with no version recorded', after],
  ])('keeps the object when an upload is in progress: %s', async (_, hooks) => {
    const { id, job } = await world.received(BYTES);
    let runs = 0;
    const run = async () => {
      expect(await world.storedObjects()).toMatchObject([{ state: 'STAGING', copies: [{ version: null }] }]);
      expect(await collect(true)).toMatchObject({ changed: 0, actions: [] });
      expect(await collect()).toMatchObject({ changed: 0, failed: 0, actions: [] });
      runs += 1;
    };
    hooks.set('copy', run);
    await world.process(job);
    expect(runs).toBe(1);
    await isStored(id);
  });

  it('keeps the object of an upload that starts between the comparison and the deletion', async () => {
    const { id, job } = await world.received(BYTES);
    // The comparison has read its pages when it searches for the rows of old objects.
    const query = world.database.query.bind(world.database);
    let uploads = 0;
    world.database.query = async (statement, ...rest) => {
      if (statement.name === 'orphans_adopt' && uploads++ === 0) await world.process(job);
      return query(statement, ...rest);
    };
    try {
      expect(await collect()).toMatchObject({ changed: 0, failed: 0 });
    } finally {
      world.database.query = query;
    }
    expect(uploads).toBe(1);
    await isStored(id);
  });

  it.each(['orphans_adopt', 'delete'])('deletes only the version that it has seen (%s)', async (call) => {
    const rewrite = async () => {
      await world.emulators.put({ bucket: CONTENT, key: KEY }, Buffer.from('newer'), {
        contentType: OCTET_STREAM,
      });
    };
    if (call === 'delete') before.set('delete', rewrite);
    const query = world.database.query.bind(world.database);
    world.database.query = async (statement, ...rest) => {
      if (statement.name === call) await rewrite();
      return query(statement, ...rest);
    };
    try {
      expect(await collect()).toMatchObject({ changed: 0, failed: 0, actions: [] });
    } finally {
      world.database.query = query;
    }
    expect(await bytesAt(KEY)).toBe('newer');
    expect(await world.storedObjects()).toEqual([]);
    expect(await world.database.prisma.integrityFinding.count()).toBe(0);
  });

  it('stores uploads that run beside the deletion of the same bytes, in any order', async () => {
    for (let round = 0; round < 10; round++) {
      const { id, job } = await world.received(BYTES);
      const upload = async () => {
        for (;;) {
          const error: unknown = await world.process(job).then(
            () => null,
            (error: unknown) => error,
          );
          if (error === null) return;
          expect(error).toMatchObject({ kind: unavailable('', '').kind });
        }
      };
      await Promise.all([collect(), upload(), collect()]);
      expect((await world.asset(id)).status).toBe('READY');
      expect(await bytesAt(KEY)).toBe(BYTES);
      await world.database.pool.query('truncate media_assets, stored_objects, owner_quotas cascade');
    }
  });

  it('keeps an object whose row appears, with this very version, after the comparison', async () => {
    await world.upload(BYTES);
    const { prisma } = world.database;
    const copies = await prisma.objectCopy.findMany();
    const objects = await prisma.storedObject.findMany({ omit: { featureProperties: true } });
    await world.database.pool.query('truncate media_assets, stored_objects cascade');
    const query = world.database.query.bind(world.database);
    world.database.query = async (statement, ...rest) => {
      if (statement.name === 'orphans_adopt') {
        await prisma.storedObject.createMany({ data: objects });
        await prisma.objectCopy.createMany({ data: copies });
      }
      return query(statement, ...rest);
    };
    try {
      expect(await collect()).toMatchObject({ changed: 0, failed: 0 });
    } finally {
      world.database.query = query;
    }
    expect(await world.storedObjects()).toMatchObject([{ state: 'LIVE', copies }]);
    expect(await bytesAt(KEY)).toBe(BYTES);
  });

  it('keeps an object at the key of a variant whose row appears after the comparison', async () => {
    const background = { r: 1, g: 2, b: 3 };
    const image = await sharp({ create: { width: 60, height: 40, channels: 3, background } })
      .jpeg()
      .toBuffer();
    await world.emulators.client.bucket(CONTENT).file(KEY).delete();
    await world.upload(image, { filename: 'a.jpg', mimeType: 'image/jpeg' });
    const { prisma } = world.database;
    const data = await prisma.objectVariant.findMany();
    await prisma.objectVariant.deleteMany();
    const query = world.database.query.bind(world.database);
    let reads = 0;
    world.database.query = async (statement, ...rest) => {
      if (statement.name === 'orphans_unrecorded' && ++reads === 2)
        await prisma.objectVariant.createMany({ data });
      return query(statement, ...rest);
    };
    try {
      expect(await collect()).toMatchObject({ changed: 0, failed: 0 });
    } finally {
      world.database.query = query;
    }
    expect(reads).toBe(2);
    expect(await world.objects(CONTENT)).toContain(data[0]!.key);
  });

  it('keeps an incoming object whose row appears after the comparison', async () => {
    await world.emulators.client.bucket(CONTENT).file(KEY).delete();
    const { id } = await world.received('late row');
    const { rows } = await world.database.pool.query(
      'delete from media_assets where asset_id = $1 returning *',
      [id],
    );
    const query = world.database.query.bind(world.database);
    let reads = 0;
    world.database.query = async (statement, ...rest) => {
      if (statement.name === 'assets_existing' && ++reads === 2) {
        await world.database.pool.query(
          'insert into media_assets select * from jsonb_populate_record(null::media_assets, $1)',
          [
            JSON.stringify(rows[0], (_, value: unknown) =>
              typeof value === 'bigint' ? String(value) : value,
            ),
          ],
        );
      }
      return query(statement, ...rest);
    };
    try {
      expect(await collect()).toMatchObject({ changed: 0, failed: 0 });
    } finally {
      world.database.query = query;
    }
    expect(reads).toBe(2);
    expect(await world.objects(INCOMING)).toEqual([id]);
    expect((await world.objects(CONTENT)).filter((key) => key !== INSTALLATION_KEY)).toEqual([]);
  });
});
