import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { contentKey, INSTALLATION_KEY, OCTET_STREAM, unavailable, variantKey } from '#libs/domain';
import type { ObjectStore } from '#libs/storage';
import { emptyWorld } from '../../support/empty-world.js';
import { actor, CONTENT, INCOMING, sha256, World } from '../../../libs/testing/src/world.js';

const DAY_MS = 24 * 3_600_000;
/** Longer than the time after which an object without a row is an orphan. */
const later = (days = 9) => new Date(Date.now() + days * DAY_MS);
const STRAY_ASSET = '019f5b1e-7c4b-7def-8a1b-0123456789ab';
const SPEC = 'webp-320-q80-r1';
const JPEG = { filename: 'photo.jpg', mimeType: 'image/jpeg' };

const picture = (r: number): Promise<Buffer> =>
  sharp({ create: { width: 60, height: 40, channels: 3, background: { r, g: 0, b: 0 } } })
    .jpeg()
    .toBuffer();

describe('orphans (real: PostgreSQL, storage emulator)', () => {
  let world: World;
  /** Changes the answers of the store. */
  let hooks: Partial<ObjectStore> = {};
  let real: ObjectStore;
  beforeAll(async () => {
    const around = (store: ObjectStore): ObjectStore => {
      real = store;
      return new Proxy(store, {
        get: (target, name: keyof ObjectStore) => {
          const method: unknown = hooks[name] ?? target[name];
          return typeof method === 'function' ? (method.bind(target) as unknown) : method;
        },
      });
    };
    world = await World.start({ around, profiles: ['small=webp:32:80'] });
  });
  afterAll(() => world[Symbol.asyncDispose]());
  beforeEach(async () => {
    hooks = {};
    await emptyWorld(world);
    // Assigns the buckets, while they are empty, to this database.
    await world.runTask('collect-orphans');
  });

  const put = (bucket: string, key: string, bytes = 'stray', contentType = OCTET_STREAM) =>
    world.emulators.put({ bucket, key }, Buffer.from(bytes), { contentType });
  const collect = (now = later(), isDryRun = false) => world.runTask('collect-orphans', { now, isDryRun });
  const findings = async () => {
    const rows = await world.database.prisma.integrityFinding.findMany({ orderBy: { id: 'asc' } });
    return rows.map(({ problem, subject, repaired }) => `${problem} ${subject}${repaired ? '' : ' (open)'}`);
  };
  const keysOf = async (bucket: string) =>
    (await world.objects(bucket)).filter((key) => key !== INSTALLATION_KEY);
  const withoutDetails = (actions: readonly { action: string; subject: string }[]) =>
    actions.map(({ action, subject }) => `${action} ${subject}`);

  it('deletes orphans of each kind and nothing else, as its dry run lists', async () => {
    const kept = await world.upload(await picture(1), JPEG);
    const { id: pending } = await world.request('never sent');
    const { id: waiting } = await world.received('processed later');
    const before = { content: await keysOf(CONTENT), incoming: await keysOf(INCOMING) };
    const sha = sha256('stray');
    const orphans = [
      `${INCOMING}/${STRAY_ASSET}`,
      `${CONTENT}/${contentKey(sha)}`,
      `${CONTENT}/${contentKey(sha, '7')}`,
      `${CONTENT}/${variantKey(sha, SPEC, '7')}`,
      `${CONTENT}/${variantKey(sha, SPEC)}`,
      `${CONTENT}/${variantKey(sha256(await picture(1)), SPEC)}`,
    ].sort();
    for (const orphan of orphans) {
      const [bucket = '', ...key] = orphan.split('/');
      await put(bucket, key.join('/'));
    }
    const listed = await collect(later(), true);
    expect(withoutDetails(listed.actions).sort()).toEqual(orphans.map((key) => `delete key ${key}`).sort());
    expect(await findings()).toEqual([]);
    const { outcome, changed, failed, actions } = await collect();
    expect({ outcome, changed, failed }).toEqual({ outcome: 'succeeded', changed: 6, failed: 0 });
    expect(actions).toEqual(listed.actions);
    expect(await keysOf(CONTENT)).toEqual(before.content);
    expect(await keysOf(INCOMING)).toEqual(before.incoming);
    expect((await findings()).sort()).toEqual(orphans.map((key) => `ORPHAN key ${key}`).sort());
    expect(await world.storedObjects()).toHaveLength(1);
    expect(await collect()).toMatchObject({ changed: 0, actions: [] });
    expect(await world.asset(kept.id)).toMatchObject({ status: 'READY' });
    for (const id of [pending, waiting]) expect((await world.asset(id)).status).not.toBe('READY');
  });

  it('keeps objects that are younger than the time by which the database may be restored, and a day', async () => {
    await put(CONTENT, contentKey(sha256('young')));
    await put(CONTENT, variantKey(sha256('young'), SPEC));
    const { createdAt } = (await real.stat({ bucket: CONTENT, key: variantKey(sha256('young'), SPEC) }))!;
    await put(INCOMING, STRAY_ASSET);
    const young = (await real.stat({ bucket: INCOMING, key: STRAY_ASSET }))!.createdAt;
    expect(await collect(new Date(createdAt.getTime() + 8 * DAY_MS - 60_000))).toMatchObject({ changed: 0 });
    expect(await findings()).toEqual([]);
    // An object of exactly the age is kept too.
    const boundary = await collect(new Date(young.getTime() + 8 * DAY_MS));
    expect(withoutDetails(boundary.actions)).not.toContain(`delete key ${INCOMING}/${STRAY_ASSET}`);
    expect(await collect(new Date(young.getTime() + 8 * DAY_MS + 1))).toMatchObject({ failed: 0 });
    expect([...(await keysOf(CONTENT)), ...(await keysOf(INCOMING))]).toEqual([]);
  });

  it('reports keys that Stowage does not create once, keeps them, and closes the findings when they are gone', async () => {
    const sha = sha256('foreign');
    const foreign = [
      ...[`images2/${sha}`, `content-old/${sha}`, `content/${sha}0`, `content/${sha.slice(1)}`],
      ...[`content/${sha}/x`, `content/01/${sha}`, `content/${sha.toUpperCase()}`, `contents/${sha}`],
      ...[
        `variant/${sha}`,
        `variant/${sha}/${SPEC}/x`,
        `variant/${sha}/gif-1-q1-r1`,
        `xvariant/${sha}/${SPEC}`,
      ],
      ...['stowage-installation2', STRAY_ASSET, 'b\u00fcro/\u{1F600}', 'x'.repeat(1024)],
    ];
    for (const key of foreign) await put(CONTENT, key);
    for (const key of [`${STRAY_ASSET}/x`, STRAY_ASSET.toUpperCase(), contentKey(sha)])
      await put(INCOMING, key);
    const listed = await collect(later(), true);
    expect(listed).toMatchObject({ changed: 19, failed: 0 });
    const run = await collect();
    expect(run).toMatchObject({ changed: 19, failed: 0, actions: listed.actions });
    expect(run.actions.every(({ action }) => action === 'report')).toBe(true);
    const reported = await findings();
    expect(reported).toContain(`ORPHAN key ${CONTENT}/images2/${sha} (open)`);
    expect(reported).toHaveLength(19);
    expect(await collect()).toMatchObject({ changed: 0, failed: 0 });
    expect(await keysOf(CONTENT)).toHaveLength(16);
    expect(await keysOf(INCOMING)).toHaveLength(3);
    await world.emulators.client.bucket(CONTENT).file(`images2/${sha}`).delete();
    expect(await collect(later(), true)).toMatchObject({ actions: [{ action: 'close' }] });
    expect(await collect()).toMatchObject({ changed: 1 });
    expect(await findings()).toContain(`ORPHAN key ${CONTENT}/images2/${sha}`);
    expect((await findings()).filter((text) => text.endsWith('(open)'))).toHaveLength(18);
  });

  it('deletes bytes of a quarantined object that were written after it was quarantined', async () => {
    world.scanner.answers.set('infected', { verdict: 'infected', name: 'Test' } as never);
    const asset = await world.upload('quarantined');
    await world.stored.markInfected({ id: asset.storedObjectId! });
    await world.quarantine.removeBytes({ id: asset.storedObjectId!, sha256: sha256('quarantined') });
    await put(CONTENT, contentKey(sha256('quarantined')));
    expect(await collect()).toMatchObject({ changed: 1, failed: 0 });
    expect(await keysOf(CONTENT)).toEqual([]);
    expect(await world.storedObjects()).toMatchObject([{ state: 'QUARANTINED' }]);
  });

  describe('objects that are not as their rows say', () => {
    const rowsOf = (id: bigint | null) =>
      world.database.prisma.objectVariant.findMany({ where: { storedObjectId: id! } });

    it.each([
      ['is missing', (key: string) => world.emulators.client.bucket(CONTENT).file(key).delete(), 'CORRUPT'],
      ['has other bytes', (key: string) => put(CONTENT, key, 'others'), 'CORRUPT'],
      ['was written again', (key: string) => put(CONTENT, key, 'verified'), 'LIVE'],
      [
        'has another content type',
        (key: string) =>
          world.emulators.client.bucket(CONTENT).file(key).setMetadata({ contentType: 'text/html' }),
        'LIVE',
      ],
      [
        'has a content encoding',
        (key: string) =>
          world.emulators.client.bucket(CONTENT).file(key).setMetadata({ contentEncoding: 'gzip' }),
        'LIVE',
      ],
    ])('verifies an object that %s', async (_, change, state) => {
      const asset = await world.upload('verified');
      await change(asset.objectKey);
      const listed = await collect(later(), true);
      expect(listed.actions).toMatchObject([{ action: 'verify', subject: `object ${asset.storedObjectId}` }]);
      expect(await collect()).toMatchObject({ changed: 1, failed: 0, actions: listed.actions });
      expect(await world.storedObjects()).toMatchObject([{ state }]);
      expect(await collect()).toMatchObject({ changed: 0, failed: 0 });
    });

    it.each([
      ['checksum', { crc32c: 'AAAAAA==' }],
      ['size', { sizeBytes: 1n }],
    ])('verifies an object whose recorded %s is wrong', async (_, data) => {
      const asset = await world.upload('drifted');
      const where = { id: asset.storedObjectId! };
      const { crc32c, sizeBytes } = await world.database.prisma.storedObject.findUniqueOrThrow({ where });
      await world.database.prisma.storedObject.update({ where, data });
      expect(await collect()).toMatchObject({ changed: 1, actions: [{ action: 'verify' }] });
      expect(await world.storedObjects()).toMatchObject([{ state: 'LIVE', crc32c, sizeBytes }]);
    });

    it('inserts the lost row of a copy again, and does not take its object for an orphan', async () => {
      const asset = await world.upload('lost row');
      const [before] = await world.storedObjects();
      await world.database.prisma.objectCopy.deleteMany({});
      const listed = await collect(later(), true);
      expect(listed.actions).toMatchObject([{ action: 'verify', subject: `object ${asset.storedObjectId}` }]);
      expect(await collect()).toMatchObject({ changed: 1, failed: 0, actions: listed.actions });
      expect((await world.storedObjects())[0]!.copies).toEqual(before!.copies);
    });

    it.each([
      ['is missing', (key: string) => world.emulators.client.bucket(CONTENT).file(key).delete(), 'MISSING'],
      ['was replaced', (key: string) => put(CONTENT, key, 'x', 'image/webp'), 'GENERATION_CHANGED'],
      [
        'has another content type',
        (key: string) =>
          world.emulators.client.bucket(CONTENT).file(key).setMetadata({ contentType: 'text/html' }),
        'CORRUPT',
      ],
    ])('lets a variant that %s be built again', async (_, change, problem) => {
      const asset = await world.upload(await picture(2), JPEG);
      const [variant] = await rowsOf(asset.storedObjectId);
      await change(variant!.key);
      const subject = `variant ${asset.storedObjectId}/${variant!.spec}`;
      const listed = await collect(later(), true);
      expect(listed.actions).toMatchObject([{ action: 'rebuild', subject }]);
      expect(await rowsOf(asset.storedObjectId)).toEqual([variant]);
      expect(await collect()).toMatchObject({ changed: 1, failed: 0, actions: listed.actions });
      expect(await rowsOf(asset.storedObjectId)).toEqual([]);
      expect(await keysOf(CONTENT)).toEqual([asset.objectKey]);
      expect(await findings()).toEqual([`${problem} ${subject}`]);
      expect(await world.runTask('variants', { now: later() })).toMatchObject({ changed: 1, failed: 0 });
      expect(await rowsOf(asset.storedObjectId)).toMatchObject([{ spec: variant!.spec }]);
      expect(await collect()).toMatchObject({ changed: 0, failed: 0 });
    });

    it('leaves a variant alone while a worker builds variants of the object', async () => {
      const asset = await world.upload(await picture(3), JPEG);
      const [variant] = await rowsOf(asset.storedObjectId);
      await world.emulators.client.bucket(CONTENT).file(variant!.key).delete();
      const claimedUntil = later(10);
      await world.database.prisma.storedObject.updateMany({ data: { claimedUntil } });
      expect(await collect(later(), true)).toMatchObject({ changed: 0, actions: [] });
      expect(await collect()).toMatchObject({ changed: 0, failed: 0 });
      // The worker may also claim the object after it was examined.
      const stat = real.stat.bind(real);
      await world.database.prisma.storedObject.updateMany({ data: { claimedUntil: null } });
      hooks.stat = async (object, options) => {
        if (object.key === variant!.key)
          await world.database.prisma.storedObject.updateMany({ data: { claimedUntil } });
        return stat(object, options);
      };
      expect(await collect()).toMatchObject({ changed: 0, failed: 0 });
      expect(await rowsOf(asset.storedObjectId)).toEqual([variant]);
    });

    it('asks storage again before it takes an object for missing', async () => {
      await world.upload(await picture(4), JPEG);
      // A listing from before the upload.
      hooks.list = () => Promise.resolve([]);
      expect(await collect()).toMatchObject({ changed: 0, failed: 0, actions: [] });
      expect(await findings()).toEqual([]);
    });
  });

  describe('a deletion that fails', () => {
    const orphan = { bucket: CONTENT, key: contentKey(sha256('held')) };

    it('without an answer keeps the bytes from uploads until the collector has deleted them', async () => {
      await put(CONTENT, orphan.key, 'held, but other bytes');
      hooks.delete = () => Promise.reject(unavailable('STORAGE_UNAVAILABLE', 'down'));
      expect(await collect()).toMatchObject({ changed: 0, failed: 1 });
      expect(await world.storedObjects()).toMatchObject([{ state: 'DELETING', refCount: 0 }]);
      hooks = {};
      expect(await world.runTask('remove-unreferenced', { now: later() })).toMatchObject({ changed: 1 });
      expect(await keysOf(CONTENT)).toEqual([]);
      expect(await world.storedObjects()).toEqual([]);
    });

    it('because storage refuses leaves no row that an upload could trust', async () => {
      await put(CONTENT, orphan.key, 'held, but other bytes');
      hooks.delete = () => Promise.reject(new Error('retention'));
      expect(await collect()).toMatchObject({ changed: 0, failed: 1 });
      expect(await world.storedObjects()).toEqual([]);
      hooks = {};
      const asset = await world.upload('held');
      expect(asset.status).toBe('READY');
      expect(await collect()).toMatchObject({ changed: 0, failed: 0 });
    });

    it('in a worker that died is continued, and a refusal then leaves nothing to trust either', async () => {
      await put(CONTENT, orphan.key, 'held, but other bytes');
      hooks.delete = () => Promise.reject(unavailable('STORAGE_UNAVAILABLE', 'down'));
      await collect();
      hooks.delete = () => Promise.reject(new Error('retention'));
      expect(await world.runTask('remove-unreferenced', { now: later() })).toMatchObject({ failed: 1 });
      expect(await world.storedObjects()).toMatchObject([{ state: 'STAGING' }]);
      hooks = {};
      const asset = await world.upload('held');
      const [row] = await world.storedObjects();
      expect(row).toMatchObject({ state: 'LIVE', sizeBytes: 4n, id: asset.storedObjectId });
      expect((await real.stat({ bucket: CONTENT, key: asset.objectKey }))?.sizeBytes).toBe(4);
      expect(await collect()).toMatchObject({ changed: 0, failed: 0 });
    });
  });

  it('continues after the last key that was compared', async () => {
    const keys = Array.from({ length: 40 }, (_, at) => contentKey(sha256(`many ${at}`))).sort();
    for (const key of keys) await put(CONTENT, key);
    const abort = new AbortController();
    let deleted = 0;
    hooks.delete = (object, options) => {
      deleted += 1;
      if (deleted === 20) abort.abort();
      return real.delete(object, options);
    };
    const { progress } = await aborted(abort.signal);
    expect(progress.cursor).toMatch(/^content:content\//);
    const reached = progress.cursor!.slice('content:'.length);
    hooks = {};
    const after: string[] = [];
    const list = real.list.bind(real);
    hooks.list = (range, limit, options) => {
      if (range.bucket === CONTENT && range.after !== undefined) after.push(range.after);
      return list(range, limit, options);
    };
    const rest = await resumed(progress);
    expect(rest).toMatchObject({ outcome: 'succeeded' });
    expect(after).toEqual([reached]);
    // The deletions that the signal interrupted are left to the collector.
    await world.runTask('remove-unreferenced', { now: later(10) });
    expect(await keysOf(CONTENT)).toEqual([]);
  });

  it('reads pages of a thousand with a constant number of statements and listings', async () => {
    const objects = 2_500;
    await world.database.pool.query(
      `insert into stored_objects (sha256, crc32c, size_bytes, ref_count, state, created_at)
         select lpad(to_hex(n), 64, '0'), 'AAAAAA==', 1, 1, 'LIVE', now() from generate_series(1, $1::int) n`,
      [objects],
    );
    await world.database.pool.query(
      `insert into object_copies (stored_object_id, location, bucket, key, version)
         select id, 'primary', $1, 'content/' || sha256, '1' from stored_objects`,
      [CONTENT],
    );
    const stats = Array.from({ length: objects }, (_, at) => ({
      bucket: CONTENT,
      key: contentKey((at + 1).toString(16).padStart(64, '0')),
      version: '1',
      sizeBytes: 1,
      crc32c: 'AAAAAA==',
      contentType: OCTET_STREAM,
      contentEncoding: null,
      storageClass: null,
      createdAt: new Date(),
    }));
    const pages: number[] = [];
    hooks.list = ({ bucket, after = '' }, limit) => {
      const page = bucket === CONTENT ? stats.filter(({ key }) => key > after).slice(0, limit) : [];
      if (bucket === CONTENT) pages.push(page.length);
      return Promise.resolve(page);
    };
    const query = world.database.query.bind(world.database);
    const statements = new Map<string, number>();
    world.database.query = (statement, ...rest) => {
      statements.set(statement.name, (statements.get(statement.name) ?? 0) + 1);
      return query(statement, ...rest);
    };
    const run = await collect();
    world.database.query = query;
    expect(run).toMatchObject({ outcome: 'succeeded', changed: 0, failed: 0, examined: 2 * objects });
    expect(pages).toEqual([1_000, 1_000, 500]);
    expect(Object.fromEntries(statements)).toEqual({
      installation_identify: 1,
      orphans_recorded_page: 3,
      orphans_without_copy: 4,
      variants_lacking: 4,
    });
  });

  it('would take everything for orphans only with a confirmation when the database was emptied', async () => {
    for (const bytes of ['one', 'two', 'three']) await world.upload(bytes, {}, actor(1n));
    await world.database.pool.query('truncate media_assets, stored_objects cascade');
    const run = await collect(later(), true);
    // Every object that is examined, but for the marker, would be deleted: more than any share that needs no confirmation.
    expect(run).toMatchObject({ changed: 3, examined: 4 });
    expect(await keysOf(CONTENT)).toHaveLength(3);
  });

  async function aborted(signal: AbortSignal) {
    const progress = await world.runTask('collect-orphans', { now: later(), signal });
    return { progress };
  }

  async function resumed(progress: { cursor: string | null }) {
    const { DeclaredTasks, newProgress, TaskRunner } = await import('#libs/lifecycle');
    const task = world.module.get(DeclaredTasks, { strict: false }).find('collect-orphans')!;
    const options = { now: later(), isDryRun: false, signal: new AbortController().signal };
    const from = { ...newProgress(), cursor: progress.cursor };
    const ended = await world.module.get(TaskRunner, { strict: false }).run(task, options, from);
    return { ...from, ...ended };
  }
});
