import { Field, ID, ObjectType, registerEnumType } from '@nestjs/graphql';
import type { TaskRunState } from '#libs/database';
import { DateTime, Long, MaxItems } from '#libs/graphql';
import { MAX_ACTIONS, type RunAction } from '../task-runner.js';
import { progressOf, type TaskRun } from '../task-runs.repository.js';

const TaskRunStatusEnum = {
  QUEUED: 'QUEUED',
  RUNNING: 'RUNNING',
  WAITING: 'WAITING',
  SUCCEEDED: 'SUCCEEDED',
  FAILED: 'FAILED',
  CANCELLED: 'CANCELLED',
} as const;
registerEnumType(TaskRunStatusEnum, {
  name: 'TaskRunStatus',
  description: 'Status of a run of a task. QUEUED and RUNNING are unfinished.',
  valuesMap: {
    QUEUED: { description: 'A worker will begin or continue the run.' },
    RUNNING: { description: 'A worker executes the run.' },
    WAITING: {
      description:
        'The run has changed nothing yet, and would change more than may be changed without confirmTaskRun.',
    },
    SUCCEEDED: { description: 'The run is complete. Single steps may have failed: see failed.' },
    FAILED: { description: 'The run ended with an error. The next run of the task begins again.' },
    CANCELLED: {
      description:
        'It waited for a confirmation, and a later run of the task waits instead or has succeeded.',
    },
  },
});

/** Actions of a run that the cost of an operation counts: most runs have few. */
const COUNTED_ACTIONS = 10;

@ObjectType('TaskAction', { description: 'A change that a run made, or with dryRun would make.' })
export class TaskActionModel implements RunAction {
  @Field(() => String, { description: 'A verb, such as expire.' })
  action: string;

  @Field(() => String, { description: 'The changed thing, such as an asset with its id.' })
  subject: string;

  @Field(() => String, { nullable: true, description: 'More about the change, if anything.' })
  detail?: string;
}

@ObjectType('TaskRun', {
  description:
    'A run of a task. Some tasks count their changes before they make any. During that count, while the run is WAITING, and if it is ' +
    'then CANCELLED, its numbers and actions tell what it would do; after a confirmation they begin again at 0. Finished runs are kept ' +
    'for TASK_RUN_DAYS, 1,000 per task at most.',
})
export class TaskRunModel {
  @Field(() => ID, { description: 'Identifier of the run.' })
  id: string;

  @Field(() => String, { description: 'Name of the task.' })
  task: string;

  @Field(() => TaskRunStatusEnum, { description: 'Current status.' })
  status: TaskRunState;

  @Field(() => Boolean, { description: 'Whether the run only lists its actions and changes nothing.' })
  dryRun: boolean;

  @Field(() => DateTime, {
    description: 'When the run began; while it is QUEUED for the first time, when it was requested.',
  })
  startedAt: Date;

  @Field(() => DateTime, {
    nullable: true,
    description: 'When the run ended; null for an unfinished or waiting run.',
  })
  finishedAt: Date | null;

  @Field(() => Long, { description: 'Number of examined things, such as assets.' })
  examined: number;

  @Field(() => Long, { description: 'Number of changes that were made, or with dryRun would be made.' })
  changed: number;

  @Field(() => Long, { description: 'Number of steps that failed. The log of the worker has their errors.' })
  failed: number;

  @Field(() => String, {
    nullable: true,
    description:
      'Why the run is FAILED or CANCELLED; an expected error ends with its reason code in parentheses.',
  })
  error: string | null;

  @MaxItems(MAX_ACTIONS, { counted: COUNTED_ACTIONS })
  @Field(() => [TaskActionModel], { description: `The first ${MAX_ACTIONS} changes.` })
  actions: readonly TaskActionModel[];

  constructor(run: TaskRun) {
    const { examined, changed, failed, actions } = progressOf(run);
    Object.assign(this, { examined, changed, failed, actions });
    this.id = String(run.id);
    this.task = run.task;
    this.status = run.state;
    this.dryRun = run.dryRun;
    this.startedAt = run.startedAt ?? run.requestedAt;
    this.finishedAt = run.finishedAt;
    this.error = run.error;
  }
}
