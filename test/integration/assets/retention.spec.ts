import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { ContentConfig } from '#libs/content';
import { contentKey, unavailable } from '#libs/domain';
import type { TaskContext } from '#libs/runtime';
import { PurgeTasks } from '../../../libs/assets/src/purge-tasks.js';
import { PURGEABLE } from '../../../libs/assets/src/purgeable-assets.repository.js';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { actor, CONTENT, INCOMING, sha256, World } from '../../../libs/testing/src/world.js';
import { inconsistencies } from '../../support/consistency.js';
import { emptyWorld } from '../../support/empty-world.js';

const DAY_MS = 86_400_000;
const inDays = (days: number) => new Date(Date.now() + days * DAY_MS);
const EMPTY = { usedBytes: 0, usedAssets: 0, reservedBytes: 0, reservedAssets: 0 };

describe('the retention of assets (real: PostgreSQL, storage emulator)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(() => world?.[Symbol.asyncDispose]());
  beforeEach(() => emptyWorld(world));
  afterEach(() => void jest.restoreAllMocks());

  const deleted = async (bytes: string, by = actor()) => {
    const { id } = await world.upload(bytes, {}, by);
    await world.removal.delete(by, id);
    return id;
  };
  const objectOf = async (bytes: string) =>
    (await world.storedObjects()).find((object) => object.sha256 === sha256(bytes));
  const storedCopy = (bytes: string) => world.store.stat({ bucket: CONTENT, key: contentKey(sha256(bytes)) });
  const left = async () => {
    const rows = await world.database.prisma.mediaAsset.findMany({ select: { assetId: true } });
    return rows.map(({ assetId }) => assetId).sort();
  };
  const collect = (now: Date) => world.runTask('remove-unreferenced', { now });

  /** Runs a task twice: its dry run must change nothing, and list what the run then does. */
  const runBoth = async (name: string, now: Date) => {
    const before = await world.database.prisma.mediaAsset.findMany({ orderBy: { assetId: 'asc' } });
    const { outcome, ...planned } = await world.runTask(name, { now, isDryRun: true });
    expect(await world.database.prisma.mediaAsset.findMany({ orderBy: { assetId: 'asc' } })).toEqual(before);
    const { outcome: ended, ...done } = await world.runTask(name, { now });
    expect([outcome, ended, done]).toEqual(['succeeded', 'succeeded', planned]);
    return done;
  };

  /** Names of the statements that a run sends. */
  const statementsOf = async (name: string, isDryRun: boolean) => {
    const query = jest.spyOn(world.database, 'query');
    await world.runTask(name, { now: inDays(29), isDryRun });
    const names = query.mock.calls.map(([statement]) => statement.name);
    query.mockRestore();
    return names;
  };

  describe('purge-deleted', () => {
    it('purges what was deleted long ago, and what its dry run lists', async () => {
      const [gone, pending] = [await deleted('long deleted'), (await world.request('never sent')).id];
      await world.removal.delete(actor(), pending);
      const restored = await deleted('restored');
      await world.removal.restore(actor(), restored);
      const { id: ready } = await world.upload('never deleted');
      const recent = await deleted('just deleted');
      await world.database.prisma.mediaAsset.update({
        where: { assetId: recent },
        data: { deletedAt: inDays(2) },
      });
      const { changed, failed, actions } = await runBoth('purge-deleted', inDays(31));
      expect([changed, failed]).toEqual([2, 0]);
      expect(actions).toEqual(
        [gone, pending].map((id) => ({ action: 'purge', subject: `asset ${id}`, detail: 'DELETED' })),
      );
      expect(await left()).toEqual([restored, ready, recent].sort());
      expect(await world.quotas.of(42n)).toMatchObject({ ...EMPTY, usedAssets: 3, usedBytes: 33 });
      expect((await world.events(gone)).at(-1)).toBe('asset.purged');
      expect(await inconsistencies(world.testDatabase.url, world.emulators)).toEqual([]);
    });

    it('keeps the bytes for the restore window', async () => {
      await deleted('kept for a week');
      await world.runTask('purge-deleted', { now: inDays(31) });
      expect(await objectOf('kept for a week')).toMatchObject({ refCount: 0, state: 'LIVE' });
      await collect(inDays(37.9));
      expect(await storedCopy('kept for a week')).not.toBeNull();
      await collect(inDays(38.1));
      expect(await storedCopy('kept for a week')).toBeNull();
      expect(await objectOf('kept for a week')).toBeUndefined();
    });

    it('counts the restore window from the purge, however long ago the run started', async () => {
      const id = await deleted('purged late');
      const data = { deletedAt: inDays(-100) };
      await world.database.prisma.mediaAsset.update({ where: { assetId: id }, data });
      await world.runTask('purge-deleted', { now: inDays(-50) });
      expect(await left()).toEqual([]);
      await collect(inDays(6.9));
      expect(await storedCopy('purged late')).not.toBeNull();
    });

    it('keeps no bytes if there is no restore window', async () => {
      const config: { -readonly [Key in keyof ContentConfig]: ContentConfig[Key] } =
        world.module.get(ContentConfig);
      const { restoreWindowDays } = config;
      try {
        config.restoreWindowDays = 0;
        await deleted('not kept');
        await world.runTask('purge-deleted', { now: inDays(31) });
      } finally {
        config.restoreWindowDays = restoreWindowDays;
      }
      await collect(new Date());
      expect(await storedCopy('not kept')).toBeNull();
    });

    it('leaves bytes to the asset that shares them, without a pin', async () => {
      await deleted('shared', actor(1n));
      const { id } = await world.upload('shared', {}, actor(2n));
      await world.runTask('purge-deleted', { now: inDays(31) });
      expect(await objectOf('shared')).toMatchObject({ refCount: 1, pinnedUntil: null });
      // The purge by a user deletes the bytes at once, also those of a window that an upload has ended.
      await world.removal.purge(actor(2n), id);
      expect(await storedCopy('shared')).toBeNull();
      await deleted('uploaded again', actor(1n));
      await world.runTask('purge-deleted', { now: inDays(31) });
      const again = await world.upload('uploaded again', {}, actor(2n));
      await world.removal.purge(actor(2n), again.id);
      expect(await storedCopy('uploaded again')).toBeNull();
    });

    it.each([1, 2])('leaves an asset that changes %i times before it is purged', async (changes) => {
      const id = await deleted('wanted again');
      const purge = world.transitions.purge.bind(world.transitions);
      const spy = jest.spyOn(world.transitions, 'purge').mockImplementationOnce(async (...args) => {
        await world.removal.restore(actor(), id);
        if (changes === 2) await world.removal.delete(actor(), id);
        return purge(...args);
      });
      expect(await world.runTask('purge-deleted', { now: inDays(31) })).toMatchObject({
        ...{ examined: 1, changed: 0, failed: 0, actions: [] },
      });
      expect(spy).toHaveBeenCalledTimes(1);
      expect(await world.asset(id)).toMatchObject({ status: changes === 1 ? 'READY' : 'DELETED' });
      expect(await objectOf('wanted again')).toMatchObject({ refCount: 1 });
    });

    it('deletes the incoming object first', async () => {
      const { id, ticket } = await world.request('sent, then deleted');
      await world.put(ticket, 'sent, then deleted');
      await world.removal.delete(actor(), id);
      const store = jest
        .spyOn(world.store, 'delete')
        .mockRejectedValueOnce(unavailable('STORAGE_UNAVAILABLE', 'down'));
      const run = () => world.runTask('purge-deleted', { now: inDays(31) });
      expect(await run()).toMatchObject({ changed: 0, failed: 1 });
      expect(store).toHaveBeenCalledTimes(1);
      expect([await left(), await world.objects(INCOMING)]).toEqual([[id], [id]]);
      expect(await run()).toMatchObject({ changed: 1, failed: 0 });
      expect([await left(), await world.objects(INCOMING)]).toEqual([[], []]);
    });

    it('continues after its last cursor, also among assets of one time', async () => {
      const ids: string[] = [];
      for (let count = 0; count < 3; count++)
        ids.push(await storeAsset(world.database, { status: 'DELETED' }));
      await world.database.prisma.mediaAsset.updateMany({ data: { deletedAt: new Date() } });
      const stepsAfter = async (cursor: string | null) => {
        const { signal } = new AbortController();
        const context: TaskContext = { now: inDays(31), signal, isDryRun: false, cursor };
        const steps = [];
        for await (const { cursor, subject } of world.module
          .get(PurgeTasks, { strict: false })
          .purgeDeleted(context)) {
          steps.push({ cursor: cursor!, id: (subject as { assetId: string }).assetId });
        }
        return steps;
      };
      const all = await stepsAfter(null);
      expect(all.map(({ id }) => id)).toEqual(ids.sort());
      for (const [index, { cursor }] of all.entries()) {
        expect(await stepsAfter(cursor)).toEqual(all.slice(index + 1));
      }
    });

    it('purges more assets than a page has', async () => {
      for (let count = 0; count < 201; count++) await storeAsset(world.database, { status: 'DELETED' });
      await world.database.prisma.mediaAsset.updateMany({ data: { deletedAt: new Date() } });
      expect(await runBoth('purge-deleted', inDays(31))).toMatchObject({ examined: 201, changed: 201 });
      expect(await left()).toEqual([]);
    });

    it.each([true, false])('sends one statement when nothing is due (dry run: %s)', async (isDryRun) => {
      for (const bytes of ['not due', 'not due either', 'nor this']) {
        await deleted(bytes);
        expect(await statementsOf('purge-deleted', isDryRun)).toEqual([PURGEABLE.deleted.name]);
      }
    });
  });

  describe('prune-uploads', () => {
    /** Uploads that finished without a stored object, and others. */
    const uploads = async () => {
      const { id: cancelled } = await world.request('cancelled');
      await world.uploads.cancel(actor(), cancelled);
      const { id: expired } = await world.request('expired');
      await world.runTask('expire-uploads', { now: inDays(1) });
      const { id: rejected, job } = await world.received('promised', {}, actor(), 'received');
      await world.process(job);
      const { id: ready } = await world.upload('ready');
      const { id: failed, job: failing } = await world.received('failed');
      world.scanner.answers.set('failed', new Error('broken'));
      for (let attempt = 1; attempt <= 5; attempt++) await world.process({ ...failing, attempt });
      world.scanner.answers.clear();
      const kept = [ready, failed, await deleted('deleted'), (await world.request('pending')).id];
      const finished = { CANCELLED: cancelled, EXPIRED: expired, REJECTED: rejected };
      for (const [status, id] of Object.entries(finished))
        expect(await world.asset(id)).toMatchObject({ status });
      expect(await world.asset(failed)).toMatchObject({ status: 'FAILED' });
      return { finished, kept };
    };
    const discardIncoming = () => world.runTask('remove-incoming', { now: inDays(2) });

    it('purges uploads that finished long ago, and what its dry run lists', async () => {
      const { finished, kept } = await uploads();
      await discardIncoming();
      const before = await world.quotas.of(42n);
      expect(await runBoth('prune-uploads', inDays(29))).toMatchObject({ examined: 0, changed: 0 });
      const { changed, failed, actions } = await runBoth('prune-uploads', inDays(32));
      expect([changed, failed]).toEqual([3, 0]);
      const listed = actions.map(({ action, subject, detail }) => `${action} ${subject} ${detail}`);
      expect(listed.sort()).toEqual(
        Object.entries(finished)
          .map(([status, id]) => `purge asset ${id} ${status}`)
          .sort(),
      );
      expect(await left()).toEqual(kept.sort());
      expect(await world.quotas.of(42n)).toEqual(before);
    });

    it('leaves an upload whose incoming object may still exist', async () => {
      const { id, ticket } = await world.request('sent too late');
      await world.uploads.cancel(actor(), id);
      await world.put(ticket, 'sent too late');
      expect(await runBoth('prune-uploads', inDays(31))).toMatchObject({ examined: 1, changed: 0 });
      expect([await left(), await world.objects(INCOMING)]).toEqual([[id], [id]]);
      await discardIncoming();
      expect(await runBoth('prune-uploads', inDays(31))).toMatchObject({ examined: 1, changed: 1 });
      expect([await left(), await world.objects(INCOMING)]).toEqual([[], []]);
    });

    it('leaves an upload that changes before it is purged', async () => {
      const { id } = await world.request('deleted meanwhile');
      await world.uploads.cancel(actor(), id);
      await discardIncoming();
      const purge = world.transitions.purge.bind(world.transitions);
      jest.spyOn(world.transitions, 'purge').mockImplementationOnce(async (...args) => {
        await world.removal.delete(actor(), id);
        return purge(...args);
      });
      expect(await world.runTask('prune-uploads', { now: inDays(31) })).toMatchObject({ changed: 0 });
      expect(await world.asset(id)).toMatchObject({ status: 'DELETED' });
    });

    it.each([true, false])('sends one statement when nothing is due (dry run: %s)', async (isDryRun) => {
      for (const bytes of ['not due', 'not due either', 'nor this']) {
        await world.uploads.cancel(actor(), (await world.request(bytes)).id);
        expect(await statementsOf('prune-uploads', isDryRun)).toEqual([PURGEABLE.finished.name]);
      }
    });
  });

  it('keeps bytes that another upload is storing when the last reference is purged', async () => {
    const { id } = await world.upload('being stored');
    const content = { scope: '', sha256: sha256('being stored'), crc32c: 'AAAAAA==', sizeBytes: 12 };
    await world.stored.stage(content, { bucket: CONTENT, key: contentKey(content.sha256) }, new Date());
    const { pinnedUntil } = (await objectOf('being stored'))!;
    await world.removal.purge(actor(), id);
    expect(await objectOf('being stored')).toMatchObject({ refCount: 0, state: 'LIVE', pinnedUntil });
    expect(pinnedUntil!.getTime()).toBeGreaterThan(Date.now());
  });
});
