import { Variable, Whole } from '#libs/runtime';

/** How the worker runs tasks. */
export class TasksConfig {
  /** Changes that one run of a task makes per second at most. */
  @Variable('TASK_ACTIONS_PER_SECOND')
  @Whole(1, 1_000_000)
  readonly actionsPerSecond: number = 200;

  /** A run that needs confirmation waits for it if it would change more than this. */
  @Variable('TASK_CONFIRM_ACTIONS')
  @Whole(0, 2 ** 31 - 1)
  readonly confirmActions: number = 1_000;

  /** And it waits if it would change more than this share of what it examines, in percent, and more than a few. */
  @Variable('TASK_CONFIRM_PERCENT')
  @Whole(0, 100)
  readonly confirmPercent: number = 5;

  /** Time for which finished runs are kept, in days. */
  @Variable('TASK_RUN_DAYS')
  @Whole(1, 3_650)
  readonly runDays: number = 30;
}
