import { CronTime } from 'cron';
import { type Contributions, type Task, TASKS, type TaskSchedule } from '#libs/runtime';

/** A task of a loaded module, with its valid schedule. */
export interface DeclaredTask {
  readonly name: string;
  readonly call: Task;
  readonly schedule: { readonly seconds: number } | { readonly next: NextTick };
}

/** The first tick after a time. */
export type NextTick = (after: Date) => Date;

const NAME = /^[a-z][a-z0-9]*([.-][a-z0-9]+)*$/;
const MAX_NAME = 64;
const MAX_SECONDS = 86_400;

/**
 * Finds the tasks of all loaded modules.
 * @throws Error with one sentence if a name or a schedule is invalid, or two tasks have one name
 */
export function declaredTasks(contributions: Contributions): ReadonlyMap<string, DeclaredTask> {
  const sources = new Map<string, string>();
  const tasks = contributions.methods(TASKS).map(({ options: { name, schedule }, call, source }) => {
    if (!NAME.test(name) || name.length > MAX_NAME) {
      throw new Error(
        `The task name ${name} of ${source} must have at most ${MAX_NAME} characters, such as albums.remove-empty.`,
      );
    }
    const other = sources.get(name);
    if (other !== undefined) throw new Error(`Two tasks are named ${name}: ${other} and ${source}.`);
    sources.set(name, source);
    return [name, { name, call, schedule: parsed(name, schedule) }] as const;
  });
  return new Map(tasks);
}

function parsed(name: string, schedule: TaskSchedule): DeclaredTask['schedule'] {
  if ('seconds' in schedule) {
    const { seconds } = schedule;
    if (Number.isInteger(seconds) && seconds >= 1 && seconds <= MAX_SECONDS) return { seconds };
    throw new Error(`The interval of the task ${name} must be between 1 and ${MAX_SECONDS} seconds.`);
  }
  const { cron, timeZone = 'UTC' } = schedule;
  try {
    const time = new CronTime(cron, timeZone);
    const next: NextTick = (after) => time.getNextDateFrom(after, timeZone).toJSDate();
    // Throws for a date that never comes, such as 30 February.
    next(new Date());
    return { next };
  } catch (cause) {
    const given = `${JSON.stringify(cron)} in the time zone ${timeZone}`;
    throw new Error(`The schedule of the task ${name} is invalid or has no next tick: ${given}.`, { cause });
  }
}
