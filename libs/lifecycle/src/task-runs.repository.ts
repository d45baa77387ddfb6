import { Injectable } from '@nestjs/common';
import { columnsSql, Database, type ScheduledTask, statement, type TaskRun } from '#libs/database';
import type { RunAction, TaskProgress } from './task-runner.js';

export type { TaskRun };

/** Time after which another worker continues the run of a worker that does not renew its lease. */
export const LEASE_MS = 30_000;

const LEASE_END = `clock_timestamp() + interval '${LEASE_MS} milliseconds'`;
const COLUMNS = columnsSql<TaskRun>('r', [
  'id',
  'task',
  'dryRun',
  'state',
  'tick',
  'requestedAt',
  'startedAt',
  'finishedAt',
  'nextAt',
  'attempt',
  'crashes',
  'cursor',
  'planned',
  'allowed',
  'examined',
  'changed',
  'failed',
  'actions',
  'error',
]);

const DECLARE = statement<never>(
  'tasks_declare',
  `insert into tasks (name, schedule, covered_until) select * from unnest($1::text[], $2::text[], $3::timestamptz[])
    on conflict (name) do update set schedule = excluded.schedule, seen_at = now()`,
);

/** A time that no statement writes, unless the clock of the database was wrong then. */
const IS_TOO_LATE = (time: string) => `${time} > clock_timestamp() + interval '1 day'`;

/** Of several workers, the first covers a tick. A run that is unfinished takes the place of a new one. */
const COVER = statement<Pick<TaskRun, 'id' | 'attempt'>>(
  'task_runs_cover',
  `with covered as (
      update tasks set covered_until = $2
      where name = $1 and (covered_until < $2 or ${IS_TOO_LATE('covered_until')}) returning name)
    insert into task_runs (task, dry_run, tick) select name, false, $2 from covered
    on conflict (task, dry_run) where state in ('QUEUED', 'RUNNING') do nothing
    returning id, attempt`,
);

/** The column has milliseconds, so the time may have been rounded up. */
const IS_DUE = `(next_at <= clock_timestamp() + interval '1 millisecond' or ${IS_TOO_LATE('next_at')})`;

const BEGIN = statement<TaskRun>(
  'task_runs_begin',
  `update task_runs r set state = 'RUNNING', started_at = coalesce(started_at, now()), attempt = attempt + 1,
      crashes = crashes + (state = 'RUNNING')::int, next_at = ${LEASE_END}
    where id = $1 and task = any($2::text[]) and state in ('QUEUED', 'RUNNING') and ${IS_DUE} returning ${COLUMNS}`,
);

/** The condition under which a worker may write a run. */
const HELD = `id = $1 and attempt = $2 and state = 'RUNNING'`;
const PROGRESS = 'cursor = $3::text, examined = $4, changed = $5, failed = $6, actions = $7::jsonb';

const RECORD = statement<object>(
  'task_runs_record',
  `update task_runs set ${PROGRESS}, next_at = ${LEASE_END},
      crashes = case when cursor is distinct from $3::text or changed <> $5 then 0 else crashes end
    where ${HELD} returning id`,
);

/** An earlier run that waits would now change other things than it has listed. */
const CANCEL_WAITING = (run: string, error: string) => `update task_runs r
      set state = 'CANCELLED', error = '${error}', finished_at = clock_timestamp()
      from ${run} e where r.task = e.task and r.id <> e.id and r.state = 'WAITING'`;

const END = statement<object>(
  'task_runs_end',
  `with ended as (
      update task_runs set ${PROGRESS}, state = $8::task_run_state, error = $9, finished_at = clock_timestamp()
      where ${HELD} returning id, task, state, dry_run)
    ${CANCEL_WAITING('ended', 'A later run succeeded.')} and e.state = 'SUCCEEDED' and not e.dry_run returning r.id`,
);

const WAIT = statement<object>(
  'task_runs_wait',
  `with waiting as (update task_runs set ${PROGRESS}, state = 'WAITING', planned = $5 where ${HELD} returning id, task)
    ${CANCEL_WAITING('waiting', 'A later run waits instead.')} returning r.id`,
);

const RELEASE = statement<object>(
  'task_runs_release',
  `update task_runs set ${PROGRESS}, state = 'QUEUED', next_at = clock_timestamp() + $8::int * interval '1 millisecond'
    where ${HELD} returning id`,
);

/** Begins to make changes, after a dry run has counted them. */
const ALLOW = statement<object>(
  'task_runs_allow',
  `update task_runs set planned = $3, allowed = $4, cursor = null, examined = 0, changed = 0, failed = 0, actions = '[]',
      next_at = ${LEASE_END}
    where ${HELD} returning id`,
);

const DUE = statement<Pick<TaskRun, 'id' | 'attempt'>>(
  'task_runs_due',
  `select id, attempt from task_runs 
    where state in ('QUEUED', 'RUNNING') and ${IS_DUE} and task = any($1::text[]) order by next_at limit 100`,
);

/** Creates a run, or keeps the unfinished one even if it changes nothing. */
const REQUEST = statement<TaskRun>(
  'task_runs_request',
  `insert into task_runs as r (task, dry_run) values ($1, $2)
    on conflict (task, dry_run) where state in ('QUEUED', 'RUNNING') do update set tick = null returning ${COLUMNS}`,
);

const CONFIRM = statement<TaskRun>(
  'task_runs_confirm',
  `update task_runs r set state = 'QUEUED', allowed = planned + planned / 10 + 100, next_at = clock_timestamp(), cursor = null,
      examined = 0, changed = 0, failed = 0, actions = '[]'
    where id = $1 and state = 'WAITING' returning ${COLUMNS}`,
);

const RECOUNT = statement<object>(
  'task_runs_recount',
  `update task_runs set state = 'QUEUED', next_at = clock_timestamp(), planned = null, allowed = null, cursor = null, examined = 0,
      changed = 0, failed = 0, actions = '[]'
    where ${HELD} returning id`,
);

/** Finished runs with $1 or more later ones of their task. */
const SURPLUS = `from tasks t
      cross join lateral (select id from task_runs where task = t.name order by id desc offset $1 limit 1) newest
      join task_runs r on r.task = t.name and r.id <= newest.id and r.finished_at is not null`;

const COUNT_SURPLUS = statement<{ count: number }>(
  'task_runs_count_surplus',
  `select count(*)::int as count ${SURPLUS}`,
);

const REMOVE_SURPLUS = statement<object>(
  'task_runs_remove_surplus',
  `delete from task_runs where id in (select r.id ${SURPLUS} order by r.id limit $2) returning id`,
);

const REMOVE = statement<object>(
  'task_runs_remove',
  `delete from task_runs where id in (select id from task_runs where finished_at < $1 order by id limit $2) returning id`,
);

/** A run that this worker has begun. */
export type HeldRun = Pick<TaskRun, 'id' | 'attempt'>;

/**
 * Runs of tasks. A run belongs to the worker that began it last and renews its lease; the attempt in the condition of each statement
 * keeps a worker that was replaced from writing. Times are those of PostgreSQL, so the clocks of workers may differ.
 */
@Injectable()
export class TaskRunsRepository {
  constructor(private readonly database: Database) {}

  /** Records the tasks of this worker. A new task has no ticks before `now`. */
  async declare(declared: readonly Pick<ScheduledTask, 'name' | 'schedule'>[], now: Date): Promise<void> {
    // Workers of two releases lock the rows in one order, so that neither has a deadlock.
    const tasks = declared.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    await this.database.query(DECLARE, [
      tasks.map(({ name }) => name),
      tasks.map(({ schedule }) => schedule),
      tasks.map(() => now),
    ]);
  }

  async names(): Promise<string[]> {
    const rows = await this.database.read((prisma) =>
      prisma.scheduledTask.findMany({ select: { name: true }, orderBy: { name: 'asc' } }),
    );
    return rows.map(({ name }) => name);
  }

  /** Creates the run of a tick. @returns null if the tick has a run, or an earlier run is unfinished */
  async cover(task: string, tick: Date): Promise<HeldRun | null> {
    return (await this.database.query(COVER, [task, tick]))[0] ?? null;
  }

  /** Creates a run, or finds the unfinished one. */
  async request(task: string, dryRun: boolean): Promise<TaskRun> {
    return (await this.database.query(REQUEST, [task, dryRun]))[0]!;
  }

  find(id: bigint): Promise<TaskRun | null> {
    return this.database.read((prisma) => prisma.taskRun.findUnique({ where: { id } }));
  }

  list(task: string | undefined, limit: number): Promise<TaskRun[]> {
    return this.database.read((prisma) =>
      prisma.taskRun.findMany({ where: { task }, orderBy: { id: 'desc' }, take: limit }),
    );
  }

  /**
   * Lets a waiting run make the changes that were counted, and a few that were added since.
   * @returns null if the run does not wait
   * @throws the database's error about a unique key if another run of the task is unfinished
   */
  async confirm(id: bigint): Promise<TaskRun | null> {
    return (await this.database.query(CONFIRM, [id]))[0] ?? null;
  }

  /**
   * Takes a run that is queued, or whose worker does not renew its lease.
   * @param tasks names of the tasks that this worker has; those of other releases are left to other workers
   * @returns null if the run must not be begun
   */
  async begin(id: bigint, tasks: readonly string[]): Promise<TaskRun | null> {
    return (await this.database.query(BEGIN, [id, tasks]))[0] ?? null;
  }

  /** Records the progress and renews the lease. @returns false if another worker has the run */
  async record(run: HeldRun, progress: TaskProgress): Promise<boolean> {
    return (await this.database.query(RECORD, valuesOf(run, progress))).length > 0;
  }

  async end(
    run: HeldRun,
    progress: TaskProgress,
    state: 'SUCCEEDED' | 'FAILED',
    error?: string,
  ): Promise<void> {
    await this.database.query(END, [...valuesOf(run, progress), state, error?.slice(0, 512) ?? null]);
  }

  /** Removes the run of a tick. @returns false if an operator asks for the run, or another worker has it */
  async discard({ id, attempt }: HeldRun): Promise<boolean> {
    const where = { id, attempt, state: 'RUNNING' as const, tick: { not: null } };
    return (await this.database.read((prisma) => prisma.taskRun.deleteMany({ where }))).count > 0;
  }

  /** Lets a run that found more changes than are allowed count them again. @returns false if another worker has the run */
  async recount({ id, attempt }: HeldRun): Promise<boolean> {
    return (await this.database.query(RECOUNT, [id, attempt])).length > 0;
  }

  /** Lets a run wait for its confirmation. Earlier runs of the task that wait are cancelled. */
  async wait(run: HeldRun, progress: TaskProgress): Promise<void> {
    await this.database.query(WAIT, valuesOf(run, progress));
  }

  /**
   * Returns a run to the queue.
   * @param delayMs milliseconds until it may be continued
   * @returns false if another worker has the run
   */
  async release(run: HeldRun, progress: TaskProgress, delayMs: number): Promise<boolean> {
    return (await this.database.query(RELEASE, [...valuesOf(run, progress), delayMs])).length > 0;
  }

  /** @returns false if another worker has the run */
  async allow({ id, attempt }: HeldRun, planned: number, allowed: number): Promise<boolean> {
    return (await this.database.query(ALLOW, [id, attempt, planned, allowed])).length > 0;
  }

  /** Runs of these tasks that may be begun: their job was lost, or their worker died. */
  due(tasks: readonly string[]): Promise<HeldRun[]> {
    return this.database.query(DUE, [tasks]);
  }

  countFinished(before: Date): Promise<number> {
    return this.database.read((prisma) => prisma.taskRun.count({ where: { finishedAt: { lt: before } } }));
  }

  /** Removes runs that finished before a time, `limit` at most. @returns the number of removed runs */
  async remove(before: Date, limit: number): Promise<number> {
    return (await this.database.query(REMOVE, [before, limit])).length;
  }

  /** Number of finished runs with `kept` or more later ones of their task. */
  async countSurplus(kept: number): Promise<number> {
    return (await this.database.query(COUNT_SURPLUS, [kept]))[0]!.count;
  }

  /** Removes finished runs with `kept` or more later ones of their task, `limit` at most. @returns the number of removed runs */
  async removeSurplus(kept: number, limit: number): Promise<number> {
    return (await this.database.query(REMOVE_SURPLUS, [kept, limit])).length;
  }
}

const valuesOf = ({ id, attempt }: HeldRun, { cursor, examined, changed, failed, actions }: TaskProgress) => [
  id,
  attempt,
  cursor,
  examined,
  changed,
  failed,
  JSON.stringify(actions),
];

/** The progress that a row records. */
export const progressOf = ({ cursor, examined, changed, failed, actions }: TaskRun): TaskProgress => ({
  cursor,
  examined: Number(examined),
  changed: Number(changed),
  failed: Number(failed),
  actions: actions as unknown as RunAction[],
});
