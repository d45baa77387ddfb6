import { Injectable } from '@nestjs/common';
import { inBatches, removal, StowageTask, type TaskContext, type TaskStep } from '#libs/runtime';
import { TaskRunsRepository } from './task-runs.repository.js';
import { TasksConfig } from './tasks.config.js';

const BATCH = 1_000;
/** Finished runs of one task that are kept. */
const MAX_RUNS = 1_000;
const DAY_MS = 24 * 3_600_000;

/** Removes old runs of tasks, and those with a thousand later ones of the task. */
@Injectable()
export class TaskRunRetentionService {
  constructor(
    private readonly config: TasksConfig,
    private readonly runs: TaskRunsRepository,
  ) {}

  @StowageTask('prune-task-runs', { cron: '40 2 * * *' }, { concurrency: 1 })
  *prune(context: TaskContext): Generator<TaskStep> {
    const { now, signal } = context;
    const before = new Date(now.getTime() - this.config.runDays * DAY_MS);
    const remove = () => inBatches(signal, () => this.runs.remove(before, BATCH));
    yield removal('task_runs', context, () => this.runs.countFinished(before), remove);
    // A task with a short interval may run thousands of times a day.
    const removeSurplus = () => inBatches(signal, () => this.runs.removeSurplus(MAX_RUNS, BATCH));
    yield removal('task_runs', context, () => this.runs.countSurplus(MAX_RUNS), removeSurplus);
  }
}
