import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { INSTALLATION_KEY } from '#libs/domain';
import { CONTENT, INCOMING, sha256, World } from '../../libs/testing/src/world.js';
import { DatabaseBackups, execute, migrate, runbookSql } from '../support/backup.js';
import { inconsistencies } from '../support/consistency.js';
import {
  actionsOf,
  at,
  AT_ONCE,
  DAY_MS,
  HOUR_MS,
  OTHER,
  OWNER,
  picture,
  RestoredLibrary,
  textOf,
} from '../support/restored-library.js';

/** More than RESTORE_WINDOW_DAYS and a day. */
const AFTER_WINDOW_MS = 8.1 * DAY_MS;

/** A run that was confirmed before the backup. */
const UNFINISHED_RUN = `insert into task_runs (task, dry_run, state, allowed, cursor)
  values ('collect-orphans', false, 'RUNNING', 5000, 'incoming:')`;

/** The tests are the steps of one story and run in this order. */
describe.each(['global', 'owner'] as const)(
  'a database that is restored beside newer buckets, DEDUPE_SCOPE=%s (real: PostgreSQL, storage emulator, file readers)',
  (dedupeScope) => {
    let world: World;
    let library: RestoredLibrary;
    let backups: DatabaseBackups;
    let url: string;
    let takenAt: Date;
    /** URL of the database that the backup replaced. */
    let newer: string;
    /** Actions of `collect-orphans` in a dry run, and of all tasks after it. */
    let plan: string[];
    let done: Record<string, string[]>;
    /** Results of events that arrive after the restore. */
    let checks: Record<string, string>;
    let lists: Record<'newer' | 'dryRun' | 'tasks' | 'events', string[]>;
    /** Unfinished jobs and runs right after the restore, and before the tasks. */
    let work: Record<'restored' | 'started', string[]>;
    let lastIds: Record<'newer' | 'restored', Map<string, bigint>>;

    beforeAll(async () => {
      world = await World.start({ dedupeScope, profiles: ['small=webp:8:80'] });
      library = new RestoredLibrary(world);
      url = world.testDatabase.url;
      backups = new DatabaseBackups(url);
      await library.fill();
      await execute(url, UNFINISHED_RUN);
      expect(await library.runTasks(0, ['collect-orphans'])).toEqual({ 'collect-orphans': [] });
      const restore = await backups.take();
      const [clock] = await execute(url, 'select clock_timestamp() as now');
      takenAt = (clock![0] as { now: Date }).now;
      await library.reconnected();
      await library.passAnHour();
      const before = { list: await library.listed(), ids: await library.lastIds() };

      newer = await restore();
      await library.reconnected();
      const unfinished = await library.unfinished();
      await execute(url, runbookSql('After a restore:'));
      await migrate(url);
      await library.reconnected();
      work = { restored: unfinished, started: await library.unfinished() };
      lastIds = { newer: before.ids, restored: await library.lastIds() };

      plan = actionsOf(await world.runTask('collect-orphans', { now: at(HOUR_MS), isDryRun: true }));
      const dryRun = await library.listed();
      done = await library.runTasks(HOUR_MS);
      const tasks = await library.listed();
      const { 'in flight': inFlight, finished, sent, claimed } = library.ids;
      checks = {
        'in flight, young': await world.completion.checkObject(inFlight!),
        'in flight': await world.completion.checkObject(inFlight!, at(HOUR_MS)),
        finished: await world.completion.checkObject(finished!),
        sent: await world.completion.checkObject(sent!),
      };
      for (const id of [sent!, claimed!]) await world.process(await world.job(id));
      lists = { newer: before.list, dryRun, tasks, events: await library.listed() };
    });
    afterAll(async () => {
      await world?.[Symbol.asyncDispose]();
      await backups?.[Symbol.asyncDispose]();
    });

    /** Names of assets whose bytes were deleted in the lost hour. */
    const lost = () => [
      ...['purged', 'purged picture', 'infected'],
      ...(dedupeScope === 'global' ? [] : ['shared, other']),
    ];
    const served = async (...names: string[]) => {
      for (const name of names) {
        expect([name, await library.downloaded(name)]).toEqual([name, sha256(textOf(name))]);
      }
    };

    it('deletes no object of the buckets', () => {
      expect(lists.dryRun).toEqual(lists.newer);
      expect(lists.tasks).toEqual(lists.newer);
      const deleted = lists.newer.filter((object) => !lists.events.includes(object));
      expect(deleted.map((object) => object.split('#')[0])).toEqual([`${INCOMING}/${library.ids.sent}`]);
    });

    it('keeps objects of the lost hour when late events arrive', async () => {
      expect(checks).toEqual({
        'in flight, young': 'early',
        'in flight': 'unknown-asset',
        finished: 'nothing-there',
        sent: 'known',
      });
      expect(await world.objects(INCOMING)).toEqual([library.ids['in flight']]);
    });

    it('processes an upload that was sent in the lost hour, and fails one whose bytes are gone', async () => {
      const names = ['sent', 'claimed', 'finished'];
      const statuses = await Promise.all(names.map((name) => library.status(name)));
      expect(statuses).toEqual(['READY', 'FAILED', 'PENDING']);
      await served('sent');
    });

    it('serves the exact bytes or none', async () => {
      await served('kept', 'purged and sent again', 'deleted', 'replaced', 'transferred', 'shared');
      expect(await library.downloaded('picture')).toBe(sha256(await picture(40)));
      if (dedupeScope === 'global') {
        expect(await library.downloaded('shared, other')).toBe(sha256(textOf('shared')));
      }
      for (const name of lost()) {
        expect([name, await library.status(name)]).toEqual([name, 'READY']);
        expect([name, await library.downloaded(name)]).toEqual([name, 'not served']);
      }
    });

    it('restores deleted assets with their bytes, also one that the task had purged', async () => {
      for (const name of ['purged by the task', 'deleted and restored']) {
        expect([name, await library.status(name)]).toEqual([name, 'DELETED']);
        await world.removal.restore(OWNER, library.ids[name]!);
        await served(name);
      }
    });

    it('finds the objects that are missing or were stored again, and no others', async () => {
      const again = 'purged and sent again';
      const { objects } = library;
      expect(await library.findings()).toEqual(
        [
          ...lost().map((name) => `object ${objects[name]}: MISSING`),
          `object ${objects[again]}: GENERATION_CHANGED, repaired`,
        ].toSorted(),
      );
      expect(plan).toEqual([...lost(), again].map((name) => `verify object ${objects[name]}`).toSorted());
      expect(done).toMatchObject({ 'collect-orphans': plan, 'audit-counts': [], 'remove-unreferenced': [] });
    });

    it('finds nothing new in a second run', async () => {
      const first = await library.findings();
      const second = await library.runTasks(HOUR_MS);
      expect(second).toMatchObject({ 'collect-orphans': [], 'audit-counts': [], 'remove-unreferenced': [] });
      expect(await library.findings()).toEqual(first);
    });

    it('lists the changes of the lost hour from the old database', async () => {
      const sql = runbookSql('In the old database:').replaceAll('2026-12-01 03:00+00', takenAt.toISOString());
      const [events] = (await execute(newer, sql)) as [{ type: string; asset_id: string }[]];
      const changed = (type: string) =>
        events.filter((event) => event.type === type).map((event) => event.asset_id);
      const idsOf = (...names: string[]) => names.map((name) => library.ids[name]!);
      expect(changed('asset.purged')).toEqual(
        idsOf('purged', 'purged and sent again', 'purged picture', 'shared, other', 'purged by the task'),
      );
      expect(changed('asset.deleted')).toEqual(idsOf('deleted'));
      expect(changed('asset.restored')).toEqual(idsOf('deleted and restored'));
      expect(changed('asset.transferred')).toEqual(idsOf('transferred'));
      expect(changed('asset.replaced')).toEqual(idsOf('replaced'));
      const uploads = idsOf('uploaded later', 'picture uploaded later', 'finished', 'claimed');
      expect(changed('asset.ready')).toEqual(expect.arrayContaining(uploads));
    });

    it('continues no run and no job of the time before the backup', () => {
      expect(work.restored).toContain('run of collect-orphans');
      expect(work.started).toEqual([]);
    });

    it('gives out no id of the lost hour again', () => {
      for (const [name, last] of lastIds.newer) {
        expect([name, lastIds.restored.get(name)! > last]).toEqual([name, true]);
      }
    });

    it('removes the objects of the lost hour when the restore window has passed', async () => {
      const inWindow = await world.runTask('collect-orphans', { now: at(7.9 * DAY_MS) });
      expect(inWindow).toMatchObject({ outcome: 'succeeded', changed: 0 });
      for (const name of lost()) {
        await world.removal.purge(name === 'shared, other' ? OTHER : OWNER, library.ids[name]!);
      }
      const { 'collect-orphans': removed } = await library.runTasks(AFTER_WINDOW_MS);
      const keyOf = (hash: string, owner = OWNER) =>
        dedupeScope === 'global' ? hash : `${owner.ownerId}/${hash}`;
      const texts = ['uploaded later', 'a replacement', 'finished', 'claimed'].map((name) => textOf(name));
      const hashes = [...texts, await picture(50)].map((bytes) => keyOf(sha256(bytes)));
      const copies = dedupeScope === 'global' ? [] : [keyOf(sha256(textOf('transferred')), OTHER)];
      expect(removed!.map((action) => action.replace(/\/webp-.*/, ''))).toEqual(
        [
          `delete key ${INCOMING}/${library.ids['in flight']}`,
          ...[...hashes, ...copies].map((key) => `delete key ${CONTENT}/content/${key}`),
          `delete key ${CONTENT}/variant/${hashes.at(-1)}`,
        ].toSorted(),
      );
      expect(await library.status('finished')).toBe('EXPIRED');
      expect(await library.status('claimed')).toBe('EXPIRED');
      expect(await inconsistencies(url, world.emulators)).toEqual([]);
      expect(await world.database.prisma.integrityFinding.count({ where: { repaired: false } })).toBe(0);
    });

    it('accepts the idempotency key of a lost upload again', async () => {
      const { id } = await world.request(textOf('in flight'), { idempotencyKey: 'of the lost hour' });
      expect(id).not.toBe(library.ids['in flight']);
    });

    /** Expects that a dry run and a run fail for this reason, and that no task deletes an object. */
    const expectRefusal = async (reason: string) => {
      const objects = await library.listed();
      for (const isDryRun of [true, false]) {
        const run = await world.runTask('collect-orphans', { now: at(30 * DAY_MS), isDryRun });
        expect(run).toMatchObject({ outcome: 'failed', changed: 0, error: { reason } });
      }
      await library.runTasks(30 * DAY_MS, [...AT_ONCE, 'verify-integrity', 'audit-counts']);
      expect(await library.listed()).toEqual(objects);
    };

    it('deletes nothing with an empty database', async () => {
      const old = await backups.replaceByEmpty();
      await library.reconnected();
      await expectRefusal('INSTALLATION_MISMATCH');
      const marker = world.emulators.client.bucket(CONTENT).file(INSTALLATION_KEY);
      const [content] = await marker.download();
      await marker.delete();
      await expectRefusal('BUCKET_UNPROVEN');
      await marker.save(content);
      await backups.putBack(old);
      await library.reconnected();
      expect(await library.runTasks(0, ['collect-orphans'])).toEqual({ 'collect-orphans': [] });
    });

    it('deletes nothing with a copy for another installation, which has other buckets', async () => {
      for (const bucket of ['staging-content', 'staging-incoming']) {
        await world.emulators.client.createBucket(bucket);
      }
      const copy = runbookSql('A copy for another installation:')
        .replaceAll(`'stowage-content'`, `'${CONTENT}'`)
        .replaceAll(`'stowage-incoming'`, `'${INCOMING}'`);
      await execute(url, copy);
      await migrate(url);
      await expectRefusal('INSTALLATION_MISMATCH');
      const objects = await library.listed();
      await world.removal.purge(OWNER, library.ids.kept!);
      await library.runTasks(AFTER_WINDOW_MS, ['remove-unreferenced']);
      expect(await library.listed()).toEqual(objects);
    });
  },
);
