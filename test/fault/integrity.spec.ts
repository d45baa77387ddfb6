import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { inconsistencies } from '../support/consistency.js';
import { CONTENT, INCOMING, sha256, World } from '../../libs/testing/src/world.js';
import { Background, downloaded } from './integrity/background.js';
import { damageFiles, type ExpectedFinding, plantOrphans } from './integrity/damage.js';
import {
  assetsLeft,
  type FileKind,
  inParallel,
  type LibraryFile,
  makeLibrary,
  uploadReady,
} from './integrity/library.js';
import { planOrphans, type PlantedObjects } from './integrity/orphans.js';

const SEED = 20_261_130;
const PROFILE = 'small=webp:32:80';
const TASKS = ['collect-orphans', 'verify-integrity', 'audit-counts', 'remove-unreferenced', 'variants'];
/** Tasks that change nothing while the rows agree with storage. `verify-integrity` records the time of each verification. */
const SETTLING = ['collect-orphans', 'audit-counts', 'variants'];
/** Longer than the time after which an object is verified again. */
const ALL_DUE_MS = 400 * 86_400_000;
/** Rounds after which the tasks are no nearer to an end. */
const MAX_ROUNDS = 20;
/** Lives and reads that must have taken place beside the tasks. */
const MIN_LIVES = 20;
const MIN_READS = 200;

/** Damaged bytes that only an upload can replace. */
const NEED_UPLOAD: ReadonlySet<FileKind> = new Set(['bit flip', 'truncated', 'lost', 'other bytes']);

describe('integrity tasks (real: PostgreSQL, storage emulator, file readers; a scripted scanner)', () => {
  let world: World;
  let files: readonly LibraryFile[];
  let planted: PlantedObjects;
  let findings: readonly ExpectedFinding[];
  let dryRun: Awaited<ReturnType<typeof dryRuns>>;
  let contested: readonly string[];
  let background: Background;
  let round = 0;

  beforeAll(async () => {
    world = await World.start({ profiles: [PROFILE] });
    files = await makeLibrary(world, SEED);
    planted = planOrphans(world, new Date());
    findings = [...(await damageFiles(world, files)), ...(await plantOrphans(world, planted))];
    dryRun = await dryRuns();
    background = new Background(world, files, SEED);
    const uploads = inParallel(planted.contested, ({ uploaded }) =>
      uploadReady(world, uploaded, 'text/plain', 77n),
    );
    // Two workers may run one task when the lease of the first one has ended.
    await Promise.all([runTasks(), runTasks()]);
    await untilFixedPoint();
    contested = (await uploads).map(({ id }) => id);
    await background.stop();
    await untilFixedPoint();
  });
  afterAll(async () => {
    // A failure of the set-up leaves the clients running.
    await background?.stop();
    await world?.[Symbol.asyncDispose]();
  });

  /** Runs all tasks at the same time. @returns the number of changes of each */
  async function runTasks(isDryRun = false): Promise<Record<string, number>> {
    round += 1;
    const ends = await Promise.all(
      TASKS.map(async (task) => {
        const now = new Date(Date.now() + (task === 'verify-integrity' ? round * ALL_DUE_MS : 0));
        return { task, ...(await world.runTask(task, { now, isDryRun })) };
      }),
    );
    const failed = ends.filter(({ outcome, failed }) => outcome !== 'succeeded' || failed > 0);
    expect(failed).toEqual([]);
    return Object.fromEntries(ends.map(({ task, changed }) => [task, changed]));
  }

  /** Repeats the tasks until they find no difference any more, and the clients in the background have done enough. */
  async function untilFixedPoint(): Promise<void> {
    for (let rounds = 1; ; rounds += 1) {
      const before = await recorded();
      const changed = await runTasks();
      const isFixed =
        SETTLING.every((task) => changed[task] === 0) && isDeepStrictEqual(await recorded(), before);
      const { lives, reads } = background.log;
      if (isFixed && lives >= MIN_LIVES && reads >= MIN_READS) return;
      if (rounds > MAX_ROUNDS) {
        throw new Error(`no fixed point: ${JSON.stringify({ changed, lives, reads })}`);
      }
    }
  }

  /** Runs all tasks dry. @returns the changes that they would make, and the tables that they changed */
  async function dryRuns() {
    const before = await tables();
    const changed = await runTasks(true);
    const after = await tables();
    return { changed, changedTables: Object.keys(after).filter((name) => after[name] !== before[name]) };
  }

  /** Digests of all rows of the tables that the tasks write. */
  async function tables(): Promise<Record<string, string>> {
    const names = [
      'stored_objects',
      'object_copies',
      'object_variants',
      'owner_quotas',
      'media_assets',
      'integrity_findings',
    ];
    const digests = names.map(async (name) => {
      const { rows } = await world.database.pool.query<{ digest: string }>(
        `select md5(coalesce(string_agg(t::text, ' ' order by t::text), '')) as digest from ${name} t`,
      );
      return [name, rows[0]!.digest] as const;
    });
    return Object.fromEntries(await Promise.all(digests));
  }

  const recorded = async (): Promise<ExpectedFinding[]> => {
    const { rows } = await world.database.pool.query<ExpectedFinding>(
      `select subject, problem::text, repaired from integrity_findings order by subject, problem, repaired`,
    );
    return rows;
  };
  const open = async () => (await recorded()).filter(({ repaired }) => !repaired);
  const named = (some: readonly ExpectedFinding[]) =>
    some
      .map(({ subject, problem, repaired }) => `${subject}: ${problem}${repaired ? ', repaired' : ''}`)
      .toSorted();
  const filesOf = (isWanted: (kind: FileKind) => boolean) => files.filter(({ kind }) => isWanted(kind));
  /** The answers for all assets of files whose rows exist, that are not as wanted. */
  const wrongAnswers = async (some: readonly LibraryFile[], wanted: (file: LibraryFile) => string) => {
    const assets = some.flatMap((file) => assetsLeft(file).map((asset) => ({ ...asset, file })));
    const answers = await inParallel(assets, async ({ id, ownerId, file }) => {
      const answer = await downloaded(world, id, ownerId);
      return answer === wanted(file) ? null : `${file.kind} ${file.index}: ${answer}`;
    });
    return answers.filter((answer) => answer !== null);
  };

  it('lists every damage in a dry run, which changes nothing', () => {
    const { changed, changedTables } = dryRun;
    expect(changedTables).toEqual([]);
    const drifts = findings.filter(({ problem }) => problem.endsWith('_DRIFT'));
    expect(changed['audit-counts']).toBe(drifts.length);
    expect(changed['remove-unreferenced']).toBe(0);
    // Only the bytes themselves show a bit flip.
    const visible = findings.length - drifts.length - filesOf((kind) => kind === 'bit flip').length;
    expect(changed['collect-orphans']).toBe(visible + planted.contested.length);
  });

  it('finds every damage once, and nothing else', async () => {
    const own = new Set(planted.contested.map(({ bucket, key }) => `key ${bucket}/${key}`));
    const found = (await recorded()).filter(({ subject }) => !own.has(subject));
    expect(named(found)).toEqual(named(findings));
  });

  it('serves every object that is intact or repaired', async () => {
    const intact = filesOf((kind) => !NEED_UPLOAD.has(kind));
    expect(await wrongAnswers(intact, ({ bytes }) => sha256(bytes))).toEqual([]);
  });

  it('serves no object whose bytes are lost', async () => {
    expect(
      await wrongAnswers(
        filesOf((kind) => NEED_UPLOAD.has(kind)),
        () => 'not served',
      ),
    ).toEqual([]);
  });

  it('lets clients work meanwhile and never serves wrong bytes of an object that was marked', () => {
    expect(background.log.failures).toEqual([]);
  });

  it('deletes old objects without a row, and no others', async () => {
    const left = new Set([
      ...(await world.objects(CONTENT)).map((key) => `${CONTENT}/${key}`),
      ...(await world.objects(INCOMING)).map((key) => `${INCOMING}/${key}`),
    ]);
    const names = (some: PlantedObjects['orphans']) => some.map(({ bucket, key }) => `${bucket}/${key}`);
    expect(names(planted.orphans).filter((name) => left.has(name))).toEqual([]);
    expect(names([...planted.young, ...planted.foreign]).filter((name) => !left.has(name))).toEqual([]);
  });

  it('keeps uploads at whose keys an old object without a row was', async () => {
    const hashes = await Promise.all(contested.map((id) => downloaded(world, id, 77n)));
    expect(hashes).toEqual(planted.contested.map(({ uploaded }) => sha256(uploaded)));
  });

  it('restores lost objects from uploads of the same bytes, and then has no open finding', async () => {
    const lost = filesOf((kind) => NEED_UPLOAD.has(kind));
    await inParallel(lost, ({ bytes, mimeType, index }) =>
      uploadReady(world, bytes, mimeType, BigInt(200 + (index % 20))),
    );
    await inParallel(planted.foreign, (at) => world.emulators.gcs.damage.drop(at));
    await untilFixedPoint();
    // The bytes of assets whose rows were lost stay for the restore window.
    await world.runTask('remove-unreferenced', { now: new Date(Date.now() + ALL_DUE_MS) });
    expect(named(await open())).toEqual([]);
    expect(await wrongAnswers(files, ({ bytes }) => sha256(bytes))).toEqual([]);
  });

  it('leaves counts, quotas, variants and objects as the rows make them', async () => {
    const young = new Set(planted.young.map(({ bucket, key }) => `${bucket}/${key}`));
    const kept =
      /^(?:object (?<content>\S+)#\d+ has no row|incoming object (?<incoming>\S+)#\d+ is left over)$/;
    const problems = (await inconsistencies(world.testDatabase.url, world.emulators)).filter((problem) => {
      const { content, incoming } = kept.exec(problem)?.groups ?? {};
      return !young.has(content ?? `${INCOMING}/${incoming}`);
    });
    expect(problems).toEqual([]);
  });
});
