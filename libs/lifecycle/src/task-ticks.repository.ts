import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Database, statement, type TaskTick } from '#libs/database';

/** Duration of a lease. Another worker repeats the run of a worker that died when the lease has expired. */
export const LEASE_MS = 30_000;

const LEASE_END = `clock_timestamp() + interval '${LEASE_MS} milliseconds'`;

/**
 * Begins a run for the tick $2, unless the tick was covered or another run has the lease. Of several workers, the first to write the
 * row begins the run; the others wait for its lock and then see its lease.
 */
const TAKE = statement<Pick<TaskTick, 'attempts'>>(
  'task_ticks_take',
  `insert into task_ticks as t (name, covered_until, run_id, leased_until, attempts)
    values ($1, $2, $3, ${LEASE_END}, 1)
    on conflict (name) do update set covered_until = greatest(t.covered_until, excluded.covered_until),
      run_id = excluded.run_id, leased_until = ${LEASE_END},
      attempts = case when excluded.covered_until > t.covered_until then 1 else t.attempts + 1 end
    where (t.leased_until is null and t.covered_until < excluded.covered_until) or t.leased_until <= clock_timestamp()
    returning attempts`,
);

const RENEW = statement<object>(
  'task_ticks_renew',
  `update task_ticks set leased_until = ${LEASE_END}
    where name = $1 and run_id = $2 and leased_until is not null returning name`,
);

// Skips the ticks during the run. Rounding to milliseconds could cover a tick that is still to come.
const FINISH = statement<object>(
  'task_ticks_finish',
  `update task_ticks set covered_until = greatest(covered_until, date_trunc('milliseconds', clock_timestamp())),
      leased_until = null, attempts = 0
    where name = $1 and run_id = $2 and leased_until is not null`,
);

const RELEASE = statement<object>(
  'task_ticks_release',
  `update task_ticks set leased_until = clock_timestamp() + $3 * interval '1 millisecond', attempts = attempts - 1
    where name = $1 and run_id = $2 and leased_until is not null`,
);

const FIND = statement<Pick<TaskTick, 'coveredUntil' | 'leasedUntil'>>(
  'task_ticks_find',
  'select covered_until as "coveredUntil", leased_until as "leasedUntil" from task_ticks where name = $1',
);

/** A run of a task with a lease, which the run's worker must renew. */
export interface TaskRun {
  readonly name: string;
  readonly id: string;
  /** Number of runs of this tick, this run included, except those that were released. */
  readonly attempts: number;
}

/**
 * Decides which worker runs a tick of a task: one row per task, and compare-and-set on the covered time and the lease. All times are
 * those of PostgreSQL, so the clocks of the workers may differ.
 */
@Injectable()
export class TaskTicksRepository {
  constructor(private readonly database: Database) {}

  /** @returns null if the tick was covered, or another run has the lease */
  async take(name: string, tick: Date): Promise<TaskRun | null> {
    const id = randomUUID();
    const [row] = await this.database.query(TAKE, [name, tick, id]);
    return row === undefined ? null : { name, id, attempts: row.attempts };
  }

  /** Renews the lease. @returns false if the run no longer has it */
  async renew({ name, id }: TaskRun): Promise<boolean> {
    return (await this.database.query(RENEW, [name, id])).length > 0;
  }

  /** Ends a run whose tick needs no further run. No effect if the run no longer has the lease. */
  async finish({ name, id }: TaskRun): Promise<void> {
    await this.database.query(FINISH, [name, id]);
  }

  /**
   * Ends a run that must be repeated, without counting it. No effect if the run no longer has the lease.
   * @param delayMs time until the next run may begin, in milliseconds
   */
  async release({ name, id }: TaskRun, delayMs: number): Promise<void> {
    await this.database.query(RELEASE, [name, id, delayMs]);
  }

  /** The unfinished run of a task, or null. */
  async unfinished(name: string): Promise<{ readonly tick: Date; readonly leasedUntil: Date } | null> {
    const [{ coveredUntil: tick, leasedUntil } = { coveredUntil: null, leasedUntil: null }] =
      await this.database.query(FIND, [name]);
    return tick === null || leasedUntil === null ? null : { tick, leasedUntil };
  }
}
