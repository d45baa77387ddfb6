import { methodContribution } from './contributions.js';

/** Argument of a task. */
export interface TaskContext {
  /** Start of the run, by the database's clock. */
  readonly now: Date;
  /**
   * Aborts when the worker stops, and when another worker may have taken over the run. A task that is aborted ends soon, whether it
   * resolves or rejects. A run of a cron schedule is then repeated.
   */
  readonly signal: AbortSignal;
}

/** Work that runs on a schedule. Rejects if it failed. */
export type Task = (context: TaskContext) => Promise<unknown>;

/**
 * When a task runs. A `cron` expression (5 fields, or 6 with seconds first; default time zone: UTC) runs once per tick, in one of the
 * workers. `seconds` runs the task at this interval in every worker, for sweeps that claim each row.
 */
export type TaskSchedule =
  { readonly cron: string; readonly timeZone?: string } | { readonly seconds: number };

/** Name and schedule of a task. */
export interface TaskOptions {
  readonly name: string;
  readonly schedule: TaskSchedule;
}

/** The methods decorated with {@link StowageTask}. */
export const TASKS = methodContribution<TaskOptions, Task>('StowageTask');

/**
 * Runs a method on a schedule in the worker.
 * - `cron`: at least once per tick, in one worker at a time. If that worker dies, another repeats the run. A tick during a run is
 *   skipped, and so is a tick at which no worker runs. A failed run waits for the next tick; a run that rejects with `unavailable` is
 *   repeated after a minute.
 * - `seconds`: in every worker. Runs in one worker never overlap.
 *
 * An invalid schedule, or a name that another task has, fails the start of the worker.
 * @param name at most 64 characters, in lower case; for a feature `FEATURE.TASK`
 * @example
 * @StowageTask('albums.remove-empty', { cron: '0 3 * * *', timeZone: 'Europe/Berlin' })
 * async removeEmpty({ now, signal }: TaskContext): Promise<void> {
 *   while (!signal.aborted && (await this.albums.removeEmpty(now, BATCH)) === BATCH);
 * }
 */
export const StowageTask = (name: string, schedule: TaskSchedule) => TASKS({ name, schedule });
