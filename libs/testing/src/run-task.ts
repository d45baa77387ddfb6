import type { INestApplicationContext } from '@nestjs/common';
import { DeclaredTasks, newProgress, TaskRunner } from '#libs/lifecycle';
import type { TaskContext } from '#libs/runtime';

/** How a test runs a task: by default now, and not as a dry run. */
export type TestRun = Partial<Pick<TaskContext, 'now' | 'isDryRun' | 'signal'>>;

/**
 * Runs a task of an application here, without its schedule and without a row.
 * @returns its outcome, counts and first 100 actions
 */
export async function runTask(app: INestApplicationContext, name: string, run: TestRun = {}) {
  const { now = new Date(), isDryRun = false, signal = new AbortController().signal } = run;
  const task = app.get(DeclaredTasks, { strict: false }).find(name);
  if (task === undefined) throw new Error(`there is no task ${name}`);
  const progress = newProgress();
  const runner = app.get(TaskRunner, { strict: false });
  const ended = await runner.run(task, { now, isDryRun, signal }, progress);
  return { ...progress, ...ended };
}
