import { methodContribution } from './contributions.js';

/** Argument of a task. */
export interface TaskContext {
  /** Start of the run, by the database's clock. A run that another worker continues keeps it. */
  readonly now: Date;
  /**
   * Aborts when the worker stops, and when another worker may have taken over the run. A task ends soon then; another worker continues
   * from the last {@link TaskStep.cursor}.
   */
  readonly signal: AbortSignal;
  /** Whether the run only lists its actions. The task itself then changes nothing, not even a claim or the time of the next check. */
  readonly isDryRun: boolean;
  /** The cursor of the last step that is done; null at the start of a run. */
  readonly cursor: string | null;
}

/** A change that a task would make. */
export interface TaskAction {
  /** A verb, such as `expire`. */
  readonly action: string;
  /** The thing that is changed, such as `asset 0190…`. It must not contain a client's text. */
  readonly subject: string;
  readonly detail?: string;
  /** Number of rows or objects that are changed; default 1. */
  readonly changes?: number;
  /**
   * Makes the change, unless its reason no longer holds: the subject may have changed since it was read, so the method checks again,
   * at best in the statement that changes it.
   * @returns false if nothing was changed, or the number of changes
   */
  perform(): Promise<boolean | number>;
}

/** A part of a run: one subject or one page of subjects. */
export interface TaskStep {
  /** The position after this step, at most 2,048 characters, from which the task can continue in another worker. */
  readonly cursor?: string;
  /** Number of subjects that the step examines; default 1. */
  readonly examined?: number;
  /** The shortest time that the step takes, in milliseconds, to limit a rate. */
  readonly paceMs?: number;
  /** Log fields that identify the subject if the step fails. */
  readonly subject?: object;
  /** Examines the subject without changing it. Null if nothing is to be done. Absent for subjects that were examined by the task. */
  examine?(): TaskAction | null | Promise<TaskAction | null>;
}

/**
 * Work that runs on a schedule: a generator of steps, read in pages so that its memory is bounded. The runner examines
 * several steps at a time, performs their actions, or lists them in a dry run, and records the progress.
 */
export type Task = (context: TaskContext) => Iterable<TaskStep> | AsyncIterable<TaskStep>;

/**
 * When a task runs.
 * - `cron` (5 fields, or 6 with seconds first; default time zone: UTC): at each tick.
 * - `seconds`: at this interval if there is something to do, that is, if a dry run has a first step.
 */
export type TaskSchedule =
  { readonly cron: string; readonly timeZone?: string } | { readonly seconds: number };

/** How a task runs. */
export interface TaskLimits {
  /** Number of steps that are in progress at a time; default 8. With 1, a step is done before the task is asked for the next one. */
  readonly concurrency?: number;
  /** A run that would change more than the configured number or share waits for an operator. */
  readonly needsConfirmation?: boolean;
}

/** Name and schedule of a task. */
export interface TaskOptions extends TaskLimits {
  readonly name: string;
  readonly schedule: TaskSchedule;
}

/** The methods decorated with {@link StowageTask}. */
export const TASKS = methodContribution<TaskOptions, Task>('StowageTask');

/**
 * Runs a method of a worker's provider on a schedule, once per tick among all workers, and when an operator asks for it. If a worker
 * dies, another continues the run from its last cursor. A tick during a run is skipped, and so is a tick at which no worker runs. A
 * step that fails is logged and counted, and the run goes on; a run whose steps fail because a dependency is unavailable is continued
 * after a minute.
 *
 * An invalid schedule, or a name that another task has, fails the start of the worker.
 * @param name at most 64 characters, in lower case; for a feature `FEATURE.TASK`
 * @example
 * @StowageTask('albums.remove-empty', { cron: '0 3 * * *', timeZone: 'Europe/Berlin' })
 * async *removeEmpty({ cursor }: TaskContext): AsyncGenerator<TaskStep> {
 *   for await (const id of this.albums.empty(cursor)) {
 *     const perform = () => this.albums.removeIfEmpty(id);
 *     yield { cursor: id, examine: () => ({ action: 'remove', subject: `album ${id}`, perform }) };
 *   }
 * }
 */
export const StowageTask = (name: string, schedule: TaskSchedule, limits: TaskLimits = {}) =>
  TASKS({ name, schedule, ...limits });

/**
 * Reads a list page by page. The caller must be done with a page, or not need its rows any more, before the next one is read.
 * @param limit rows of a full page; a shorter page is the last one
 * @param read the page after a row, in the order of the list; the first page for undefined
 */
export async function* inPages<Row>(
  limit: number,
  read: (after: Row | undefined) => Promise<Row[]>,
): AsyncGenerator<Row[]> {
  for (let rows = await read(undefined); rows.length > 0; rows = await read(rows.at(-1))) {
    yield rows;
    if (rows.length < limit) return;
  }
}

/**
 * Repeats `remove`, which removes one batch in a transaction of its own, until it removes nothing or the signal aborts.
 * @returns the number of removed rows
 */
export async function inBatches(signal: AbortSignal, remove: () => Promise<number>): Promise<number> {
  let removed = 0;
  for (let batch = -1; batch !== 0 && !signal.aborted; removed += batch) {
    batch = await remove();
  }
  return removed;
}

/**
 * A step that removes all rows of a table that are due.
 * @param count counts the rows that are due; only a dry run calls it
 * @param remove removes them, at best {@link inBatches}, and returns their number
 * @example yield removal('album_shares', context, () => this.albums.countExpired(now), () => this.albums.removeExpired(now, signal));
 */
export function removal(
  table: string,
  { isDryRun }: Pick<TaskContext, 'isDryRun'>,
  count: () => Promise<number>,
  remove: () => Promise<number>,
): TaskStep {
  return {
    subject: { table },
    examine: async () => {
      const changes = isDryRun ? await count() : 1;
      return changes === 0 ? null : { action: 'delete', subject: table, changes, perform: remove };
    },
  };
}
