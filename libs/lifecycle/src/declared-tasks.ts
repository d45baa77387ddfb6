import { Injectable } from '@nestjs/common';
import { CronTime } from 'cron';
import { Contributions, type Task, type TaskLimits, TASKS, type TaskSchedule } from '#libs/runtime';

/** A task of a loaded module, with its valid schedule. */
export interface DeclaredTask extends TaskLimits {
  readonly name: string;
  readonly call: Task;
  readonly schedule: TaskSchedule;
  /** The first tick after a time. Ticks of an interval are the multiples of it since 1970, so that all workers have the same. */
  readonly nextTick: (after: Date) => Date;
}

const NAME = /^[a-z][a-z0-9]*([.-][a-z0-9]+)*$/;
const MAX_NAME = 64;
const MAX_SECONDS = 86_400;
const REPEATED_MS = 60_000;

/** The tasks of all modules of this process. */
@Injectable()
export class DeclaredTasks {
  private tasks: ReadonlyMap<string, DeclaredTask> | undefined;

  constructor(private readonly contributions: Contributions) {}

  /** @throws Error with one sentence if a task is invalid, or two tasks have one name */
  all(): DeclaredTask[] {
    return [...(this.tasks ??= declaredTasks(this.contributions)).values()];
  }

  find(name: string): DeclaredTask | undefined {
    return this.all().find((task) => task.name === name);
  }
}

/**
 * Finds the tasks of all loaded modules.
 * @throws Error with one sentence if a name or a schedule is invalid, or two tasks have one name
 */
export function declaredTasks(contributions: Contributions): ReadonlyMap<string, DeclaredTask> {
  const sources = new Map<string, string>();
  const tasks = contributions
    .methods(TASKS)
    .map(({ options: { name, schedule, ...limits }, call, source }) => {
      if (!NAME.test(name) || name.length > MAX_NAME) {
        throw new Error(
          `The task name ${name} of ${source} must have at most ${MAX_NAME} characters, such as albums.remove-empty.`,
        );
      }
      const other = sources.get(name);
      if (other !== undefined) throw new Error(`Two tasks are named ${name}: ${other} and ${source}.`);
      sources.set(name, source);
      return [name, { ...limits, name, call, schedule, nextTick: nextTickOf(name, schedule) }] as const;
    });
  return new Map(tasks);
}

function nextTickOf(name: string, schedule: TaskSchedule): DeclaredTask['nextTick'] {
  if ('seconds' in schedule) {
    const { seconds } = schedule;
    if (!Number.isInteger(seconds) || seconds < 1 || seconds > MAX_SECONDS) {
      throw new Error(`The interval of the task ${name} must be between 1 and ${MAX_SECONDS} seconds.`);
    }
    const ms = seconds * 1000;
    return (after) => new Date((Math.floor(after.getTime() / ms) + 1) * ms);
  }
  const { cron, timeZone = 'UTC' } = schedule;
  try {
    const time = new CronTime(cron, timeZone);
    const next = (after: Date) => {
      // In an hour that a change of the clocks repeats, the library may answer with a time before `after`.
      for (let from = after; ; from = new Date(from.getTime() + REPEATED_MS)) {
        const tick = time.getNextDateFrom(from, timeZone).toJSDate();
        if (tick > after) return tick;
      }
    };
    // Throws for a date that never comes, such as 30 February.
    next(new Date());
    return next;
  } catch (cause) {
    const given = `${JSON.stringify(cron)} in the time zone ${timeZone}`;
    throw new Error(`The schedule of the task ${name} is invalid or has no next tick: ${given}.`, { cause });
  }
}
