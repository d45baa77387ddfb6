import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DeclaredTasks } from '#libs/lifecycle';
import type { TaskAction } from '#libs/runtime';
import { inconsistencies } from '../support/consistency.js';
import { sha256, World } from '../../libs/testing/src/world.js';
import { downloaded } from './integrity/background.js';
import { CrashPoint, type Side } from './integrity/crash.js';
import { damageFile } from './integrity/damage.js';
import {
  assetsLeft,
  type FileKind,
  type LibraryFile,
  makeFile,
  seeded,
  uploadReady,
} from './integrity/library.js';

const SEED = 20_261_201;
const DAY_MS = 86_400_000;
/** A single action has fewer calls. */
const MAX_CALLS = 60;
const TASKS = ['verify-integrity', 'collect-orphans', 'audit-counts', 'remove-unreferenced', 'variants'];

/** The tasks that find each kind of damage. */
const FINDERS: readonly (readonly [FileKind, string])[] = [
  ['bit flip', 'verify-integrity'],
  ['truncated', 'collect-orphans'],
  ['lost', 'collect-orphans'],
  ['lost copy row', 'collect-orphans'],
  ['lost variant row', 'collect-orphans'],
  ['lost variant', 'collect-orphans'],
  ['lost asset row', 'audit-counts'],
  ['count too low', 'audit-counts'],
  ['quota drift', 'audit-counts'],
  ['wrong type', 'verify-integrity'],
  ['same bytes again', 'verify-integrity'],
  ['other bytes', 'verify-integrity'],
];
const NEED_UPLOAD: ReadonlySet<FileKind> = new Set(['bit flip', 'truncated', 'lost', 'other bytes']);

describe('integrity tasks of a worker that dies (real: PostgreSQL, storage emulator, file readers)', () => {
  const crash = new CrashPoint();
  const random = seeded(SEED);
  const files: LibraryFile[] = [];
  let world: World;
  let round = 0;
  beforeAll(async () => {
    world = await World.start({ profiles: ['small=webp:32:80'], around: (store) => crash.store(store) });
    crash.database(world.database);
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const isAbout = ({ objectId, assets }: LibraryFile, { subject }: TaskAction) => {
    const owner = `owner ${assets[0]!.ownerId}`;
    return (
      [`object ${objectId}`, `variants of object ${objectId}`, owner].includes(subject) ||
      subject.startsWith(`variant ${objectId}/`)
    );
  };

  /** The actions of a task about a file. */
  async function actionsOn(task: string, file: LibraryFile): Promise<TaskAction[]> {
    const { call } = world.module.get(DeclaredTasks, { strict: false }).find(task)!;
    const now = new Date(Date.now() + (task === 'verify-integrity' ? ++round * 400 * DAY_MS : 0));
    const actions: TaskAction[] = [];
    const signal = new AbortController().signal;
    for await (const step of call({ now, signal, isDryRun: false, cursor: null })) {
      const action = await step.examine?.();
      if (action && isAbout(file, action)) actions.push(action);
    }
    return actions;
  }

  /** Makes and damages files until the task survives its repair, and lets it die one call later for each. */
  async function dieAtEachCall(kind: FileKind, task: string, side: Side): Promise<number> {
    for (let at = 0; at < MAX_CALLS; at += 1) {
      const file = await makeFile(world, kind, files.length, random);
      files.push(file);
      await damageFile(world, file);
      const actions = await actionsOn(task, file);
      expect(actions.length).toBeGreaterThan(0);
      const hasDied = await crash.run(at, side, async () => {
        for (const action of actions) await action.perform();
      });
      if (!hasDied) return at;
    }
    throw new Error(`an action has more than ${MAX_CALLS} calls`);
  }

  /** Lets other workers run all tasks until none changes anything, after all leases have ended. */
  async function settle(): Promise<void> {
    for (let last = ''; ;) {
      for (const task of TASKS) {
        const now = new Date(
          Date.now() +
            (task === 'verify-integrity' ? ++round * 400 : task === 'remove-unreferenced' ? 30 : 0) * DAY_MS,
        );
        expect(await world.runTask(task, { now })).toMatchObject({ outcome: 'succeeded', failed: 0 });
      }
      const { rows } = await world.database.pool.query<{ state: string }>(
        `select concat((select json_agg(f order by f.id) from integrity_findings f),
          (select json_agg(row(id, state, ref_count, variant_specs) order by id) from stored_objects)) as state`,
      );
      if (rows[0]!.state === last) return;
      last = rows[0]!.state;
    }
  }

  const answers = (some: readonly LibraryFile[]) =>
    Promise.all(
      some.flatMap((file) =>
        assetsLeft(file).map(async ({ id, ownerId }) => {
          const answer = await downloaded(world, id, ownerId);
          return `${file.kind} ${file.index}: ${answer === sha256(file.bytes) ? 'its bytes' : answer}`;
        }),
      ),
    );
  const wanted = (some: readonly LibraryFile[], answer: (file: LibraryFile) => string) =>
    some.flatMap((file) => assetsLeft(file).map(() => `${file.kind} ${file.index}: ${answer(file)}`));

  describe.each(['before', 'after'] as const)('%s a call', (side) => {
    it.each(FINDERS)('dies at each call of the repair of: %s', async (kind, task) => {
      expect(await dieAtEachCall(kind, task, side)).toBeGreaterThan(0);
    });
  });

  it('leaves damages that other workers repair', async () => {
    await settle();
    expect(await answers(files)).toEqual(
      wanted(files, ({ kind }) => (NEED_UPLOAD.has(kind) ? 'not served' : 'its bytes')),
    );
    const open = await world.database.prisma.integrityFinding.findMany({ where: { repaired: false } });
    const unserved = files
      .filter(({ kind }) => NEED_UPLOAD.has(kind))
      .map(({ objectId }) => `object ${objectId}`);
    expect(new Set(open.map(({ subject }) => subject))).toEqual(new Set(unserved));
  });

  it('leaves nothing behind once the lost bytes were uploaded again', async () => {
    for (const { kind, bytes, mimeType } of files) {
      if (NEED_UPLOAD.has(kind)) await uploadReady(world, bytes, mimeType, 300n);
    }
    await settle();
    expect(await answers(files)).toEqual(wanted(files, () => 'its bytes'));
    expect(await world.database.prisma.integrityFinding.count({ where: { repaired: false } })).toBe(0);
    expect(await inconsistencies(world.testDatabase.url, world.emulators)).toEqual([]);
  });
});
