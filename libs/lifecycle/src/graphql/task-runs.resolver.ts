import { Args, ArgsType, Field, ID, Int, Mutation, ResolveField, Resolver } from '@nestjs/graphql';
import { type Actor, StowageError } from '#libs/domain';
import { DEFAULT_PAGE, MAX_PAGE, parsePage } from '#libs/graphql';
import { AdminModel, assertOperator, CurrentActor } from '#libs/identity/graphql';
import { TaskRunsRepository } from '../task-runs.repository.js';
import { TaskRunsService } from '../task-runs.service.js';
import { TaskRunModel } from './task-run.model.js';

const ID_TEXT = /^[1-9][0-9]{0,17}$/;
/** Names that a task can have. PostgreSQL rejects some others, such as a text with NUL. */
const NAME = /^[a-z0-9.-]{1,64}$/;

const RUN_ID = { type: () => ID, description: 'Id of the run.' };

/** The id of a run; null for a text that no run has as its id. */
const idIn = (text: string) => (ID_TEXT.test(text) ? BigInt(text) : null);

@ArgsType()
class TaskRunsArgs {
  @Field(() => String, { nullable: true, description: 'Only runs of this task.' })
  task?: string | null;

  @Field(() => Int, {
    nullable: true,
    description: `Number of runs; 1 to ${MAX_PAGE}, by default ${DEFAULT_PAGE}.`,
  })
  first?: number | null;
}

@Resolver(() => AdminModel)
export class TaskRunsResolver {
  constructor(
    private readonly service: TaskRunsService,
    private readonly runs: TaskRunsRepository,
  ) {}

  @ResolveField(() => [TaskRunModel], {
    name: 'taskRuns',
    description:
      'The latest runs of tasks, newest first. Scheduled runs on a short interval that changed nothing and did not fail are not kept.',
  })
  async list(@Args() { task, first }: TaskRunsArgs): Promise<TaskRunModel[]> {
    const { size } = parsePage({ first });
    if (task != null && !NAME.test(task)) return [];
    const runs = await this.service.list(task ?? undefined, size);
    return runs.map((run) => new TaskRunModel(run));
  }

  @ResolveField(() => TaskRunModel, {
    name: 'taskRun',
    nullable: true,
    description: 'A run, to follow its progress. Null when there is none with this id.',
  })
  async one(@Args('id', RUN_ID) text: string): Promise<TaskRunModel | null> {
    const id = idIn(text);
    const run = id === null ? null : await this.runs.find(id);
    return run === null ? null : new TaskRunModel(run);
  }

  @Mutation(() => TaskRunModel, {
    description:
      'Operators only. Runs a task now in a worker; admin.taskRun shows its progress. While a run of the task with the same dryRun is ' +
      'QUEUED or RUNNING, also a run of the schedule, the call and its repeats return that run. A repeat after its end begins another ' +
      'run. A run of a task that needs confirmation is WAITING for confirmTaskRun if it would change more than TASK_CONFIRM_ACTIONS, ' +
      'or more than TASK_CONFIRM_PERCENT of what it examines. NOT_FOUND for an unknown task: the message lists the tasks.',
  })
  async runTask(
    @CurrentActor() actor: Actor,
    @Args('task', { description: 'Name of the task, such as expire-uploads.' }) task: string,
    @Args('dryRun', {
      type: () => Boolean,
      nullable: true,
      defaultValue: false,
      description: 'Whether the run only lists the actions of a real run and changes nothing.',
    })
    dryRun: boolean | null,
  ): Promise<TaskRunModel> {
    assertOperator(actor);
    return new TaskRunModel(await this.service.request(task, dryRun ?? false));
  }

  @Mutation(() => TaskRunModel, {
    description:
      'Operators only. Continues a run that is WAITING. It may make the changes that were counted, and a few more: a tenth and 100. A run ' +
      'that finds still more counts again, and may be WAITING again. A repeat returns the run in its current status. CONFLICT when ' +
      'the run never waited, or a later one waits instead.',
  })
  async confirmTaskRun(
    @CurrentActor() actor: Actor,
    @Args('id', RUN_ID) text: string,
  ): Promise<TaskRunModel> {
    assertOperator(actor);
    const id = idIn(text);
    if (id === null)
      throw new StowageError('not-found', 'TASK_RUN_NOT_FOUND', 'No run of a task has this id.');
    return new TaskRunModel(await this.service.confirm(id));
  }
}
