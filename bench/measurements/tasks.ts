import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import pg from 'pg';
import { inBulk } from '../../test/support/in-bulk.ts';
import { built } from '../built.ts';
import type { Figure } from '../figures.ts';
import { alternate, type Measurement } from '../measurement.ts';
import type { Stack } from '../stack.ts';

const ASSETS = 1_000_000;
const OWNER = 4_000;
const FEW = 100;
const MANY = 1_000;
const MAX_IDLE_MS = 50;
const MAX_RATIO = 1.5;
/** They compare everything with everything, whether something is due or not. */
const FULL_PASSES = ['audit-counts', 'collect-orphans'];
const KEY = `'content/' || o.sha256`;

/** An id that begins with the number of the kind, so that ids of different kinds differ. */
const idOf = (kind: number) =>
  `(lpad(to_hex(${OWNER + kind}), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid`;

/** Assets with an object each, which were verified, scanned and referenced, so that no task has anything to do. */
const LIBRARY = (scannedBy: string) => `
  insert into stored_objects (sha256, crc32c, size_bytes, ref_count, state, created_at, last_verified_at, scanned_by, scanned_at)
    select md5('task' || n) || md5(n || 'task'), 'AAAAAA==', 1, 1, 'LIVE', now(), now(), '${scannedBy}', now()
    from generate_series(1, ${ASSETS}) n;
  insert into object_copies (stored_object_id, location, bucket, key, version)
    select o.id, 'primary', 'stowage-content', ${KEY}, '1' from stored_objects o where o.sha256 in (
      select md5('task' || n) || md5(n || 'task') from generate_series(1, ${ASSETS}) n);
  insert into media_assets (asset_id, owner_id, bucket, object_key, filename, mime_type, declared_type, size_bytes, checksum_sha256, status,
      stored_object_id, upload_method, request_id, url_expires_at, upload_deadline_at, next_check_at, created_at, updated_at, ready_at)
    select ${idOf(0)}, ${OWNER}, 'stowage-content', ${KEY}, 'file', 'text/plain', 'text/plain', 1, o.sha256, 'READY', o.id, 'PUT', 'bench',
      now(), now(), now(), now(), now(), now()
    from generate_series(1, ${ASSETS}) n join stored_objects o on o.sha256 = md5('task' || n) || md5(n || 'task') and o.scope = '';
  insert into owner_quotas (owner_id, used_bytes, used_assets) values (${OWNER}, ${ASSETS}, ${ASSETS})`;

/** Makes rows due for a task. `round` makes the ids of each call differ. */
const DUE: Readonly<Record<string, (count: number, round: number) => string>> = {
  'expire-uploads': (count, round) => `
    insert into media_assets (asset_id, owner_id, bucket, object_key, filename, mime_type, declared_type, size_bytes, checksum_sha256, status,
        upload_method, request_id, url_expires_at, upload_deadline_at, next_check_at, created_at, updated_at)
      select ${idOf(round)}, ${OWNER}, 'stowage-incoming', 'k', 'file', 'text/plain', 'text/plain', 1, repeat('0', 64), 'PENDING', 'PUT',
        'bench', now() - interval '2 hours', now() - interval '1 hour', now() - interval '1 hour', now(), now()
      from generate_series(1, ${count}) n;
    update owner_quotas set reserved_bytes = reserved_bytes + ${count}, reserved_assets = reserved_assets + ${count}
      where owner_id = ${OWNER}`,
  'remove-incoming': (count, round) => `
    update media_assets set incoming_present = true, next_check_at = now() - interval '1 hour' where asset_id in (
      select ${idOf(0)} from generate_series(${round} * ${MANY}, ${round} * ${MANY} + ${count} - 1) n)`,
  'remove-unreferenced': (count, round) => `
    with o as (
      insert into stored_objects (sha256, crc32c, size_bytes, ref_count, state, created_at)
        select md5('due' || n) || md5(n || 'due${round}'), 'AAAAAA==', 1, 0, 'LIVE', now() from generate_series(1, ${count}) n
        returning id, sha256)
    insert into object_copies (stored_object_id, location, bucket, key, version)
      select id, 'primary', 'stowage-content', ${KEY}, '1' from o`,
  'purge-deleted': (count, round) => `
    update media_assets set status = 'DELETED', deleted_at = now() - interval '100 days' where asset_id in (
      select ${idOf(0)} from generate_series(${100 + round} * ${MANY}, ${100 + round} * ${MANY} + ${count} - 1) n)`,
};

/** Removes the rows of earlier measurements, which would be due or have no bytes. */
const FORGET = `
  truncate media_assets, stored_objects cascade;
  delete from owner_quotas`;

interface Tasks {
  readonly names: readonly string[];
  run(
    name: string,
  ): Promise<{ readonly examined: number; readonly changed: number; readonly failed: number }>;
  /** Number of statements that were sent so far. */
  readonly statements: number;
}

/**
 * Every task in a library of a million assets and objects when nothing is due, except the full passes; the cost of an action with
 * 1,000 due, compared with 100 due; and the audit of all counts. The tasks run in this process, with the modules of the worker.
 */
export const tasks: Measurement = {
  name: 'tasks',
  async run(stack, say): Promise<Figure[]> {
    const app = await workerOf(stack);
    try {
      say(`storing ${ASSETS.toLocaleString('en')} assets and objects`);
      await store(stack, await labelOf(app));
      const of = await tasksOf(app);
      return [...(await idle(of, say)), ...(await runs(stack, of, say)), ...(await audit(of, say))];
    } finally {
      await app.close();
    }
  },
};

async function idle(of: Tasks, say: (doing: string) => void): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const name of of.names) {
    say(name);
    const before = of.statements;
    if ((await of.run(name)).changed > 0) throw new Error(`${name} had something to do`);
    const statements = of.statements - before;
    const { values } = await alternate({ values: () => milliseconds(() => of.run(name)) }, (doing) =>
      say(`${name}, ${doing}`),
    );
    const what = `${name} with nothing due, ${statements} statement${statements === 1 ? '' : 's'}`;
    figures.push({ what, unit: 'ms', values, target: { atMost: MAX_IDLE_MS } });
  }
  return figures;
}

async function runs(stack: Stack, of: Tasks, say: (doing: string) => void): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [name, makeDue] of Object.entries(DUE)) {
    let calls = 0;
    const perAction = async (count: number) => {
      await stack.query(makeDue(count, ++calls));
      let changed = 0;
      const ms = await milliseconds(async () => {
        ({ changed } = await of.run(name));
      });
      if (changed !== count && name !== 'remove-incoming')
        throw new Error(`${name} changed ${changed} of ${count}`);
      return ms / count;
    };
    await perAction(FEW);
    const { many, few } = await alternate(
      { few: () => perAction(FEW), many: () => perAction(MANY) },
      (doing) => say(`${name}, ${doing}`),
    );
    figures.push({
      what: `${name}, each of ${MANY.toLocaleString('en')} due`,
      unit: 'ms',
      values: many,
      against: { what: `each of ${FEW} due`, values: few },
      target: { atMost: MAX_RATIO },
    });
  }
  return figures;
}

async function audit(of: Tasks, say: (doing: string) => void): Promise<Figure[]> {
  say('audit of all counts');
  let examined = 0;
  const ms = await milliseconds(async () => {
    ({ examined } = await of.run('audit-counts'));
  });
  return [
    { what: 'audit-counts, each 1,000 objects and owners', unit: 'ms', values: [(ms * 1000) / examined] },
  ];
}

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

async function store(stack: Stack, scannedBy: string): Promise<void> {
  await stack.query(FORGET);
  const tables = ['media_assets', 'stored_objects', 'object_copies'];
  await stack.query(`
    set work_mem = '256MB';
    set maintenance_work_mem = '256MB';
    ${inBulk(tables, LIBRARY(scannedBy))};
    reset work_mem;
    reset maintenance_work_mem`);
  await stack.query(`vacuum analyze ${tables.join(', ')}`);
}

/** The worker, not started: its providers work, but it receives no events and follows no schedule. */
async function workerOf(stack: Stack): Promise<NestFastifyApplication> {
  const { createWorker, readWorkerConfig } = await built<
    typeof import('../../libs/stowage/src/worker/index.ts')
  >('libs/stowage/src/worker/index');
  const env = { ...stack.env, LOG_LEVEL: 'silent', TASK_ACTIONS_PER_SECOND: '1000000' };
  return createWorker(readWorkerConfig(env));
}

async function labelOf(app: NestFastifyApplication): Promise<string> {
  const { Scanner } = await built<typeof import('../../libs/scanner/src/index.ts')>('libs/scanner/src/index');
  return (await app.get(Scanner, { strict: false }).identify()).label;
}

async function tasksOf(app: NestFastifyApplication): Promise<Tasks> {
  const { DeclaredTasks, TaskRunner, newProgress } =
    await built<typeof import('../../libs/lifecycle/src/index.ts')>('libs/lifecycle/src/index');
  const declared = app.get(DeclaredTasks, { strict: false });
  const runner = app.get(TaskRunner, { strict: false });
  const { signal } = new AbortController();
  const find = (name: string) => declared.find(name)!;
  let statements = 0;
  // eslint-disable-next-line @typescript-eslint/unbound-method -- It is called with its client below.
  const send = pg.Client.prototype.query as (...args: unknown[]) => unknown;
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    statements += 1;
    return send.apply(this, args);
  } as typeof pg.Client.prototype.query;
  return {
    names: declared
      .all()
      .map(({ name }) => name)
      .filter((name) => !FULL_PASSES.includes(name)),
    run: async (name) => {
      const progress = newProgress();
      const { outcome, error } = await runner.run(
        find(name),
        { now: new Date(), signal, isDryRun: false },
        progress,
      );
      if (outcome !== 'succeeded') throw new Error(`${name} ${outcome}`, { cause: error });
      return progress;
    },
    get statements() {
      return statements;
    },
  };
}
