import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Clock } from '#libs/database';
import { kindOf, StowageError } from '#libs/domain';
import { RunLease } from './run-lease.js';
import { type DeclaredTask, DeclaredTasks } from './declared-tasks.js';
import { newProgress, type TaskOutcome, type TaskProgress, TaskRunner } from './task-runner.js';
import { type HeldRun, progressOf, type TaskRun, TaskRunsRepository } from './task-runs.repository.js';
import { TasksConfig } from './tasks.config.js';

/** Delay before a run that a dependency has ended is continued. */
const RETRY_MS = 60_000;
/** Workers that may die one after the other in a run that makes no progress. */
const MAX_CRASHES = 3;
/** Changes that need no confirmation, however few objects are examined. */
const FEW_CHANGES = 20;

/** How an execution ended; `error` is the error of the task itself. */
interface Ended {
  readonly outcome: TaskOutcome | 'waiting';
  readonly error?: unknown;
}

/** Executes runs of tasks in this worker. */
@Injectable()
export class TaskExecutionService {
  constructor(
    private readonly config: TasksConfig,
    private readonly tasks: DeclaredTasks,
    private readonly runs: TaskRunsRepository,
    private readonly runner: TaskRunner,
    private readonly clock: Clock,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(TaskExecutionService.name);
  }

  /**
   * Begins or continues a run, unless another worker has it, it is finished, or this worker does not have its task.
   * @returns the run if it is to be continued at once
   * @throws StowageError unavailable
   */
  async execute(id: bigint, signal: AbortSignal): Promise<HeldRun | null> {
    if (this.clock.isBeyondLimit) return null;
    const sentAt = performance.now();
    const run = await this.runs.begin(
      id,
      this.tasks.all().map(({ name }) => name),
    );
    const task = run === null ? undefined : this.tasks.find(run.task);
    if (run === null || task === undefined) return null;
    const progress = progressOf(run);
    if (run.crashes >= MAX_CRASHES) {
      this.logger.error({ task: task.name, taskRun: String(id) }, 'task crashed its workers');
      this.runner.countCrashed(task.name);
      await this.runs.end(run, progress, 'FAILED', `${MAX_CRASHES} workers ended during this run.`);
      return null;
    }
    const lease = new RunLease(this.runs, run, progress, this.logger, sentAt);
    const aborted = AbortSignal.any([signal, lease.signal]);
    const ended = await this.perform(task, run, progress, lease, aborted).finally(() => lease.end());
    return this.finish(task, run, progress, ended);
  }

  /** Counts the changes first if they may need a confirmation. */
  private async perform(
    task: DeclaredTask,
    run: TaskRun,
    progress: TaskProgress,
    lease: RunLease,
    signal: AbortSignal,
  ): Promise<Ended> {
    const now = run.startedAt ?? this.clock.now();
    const { dryRun: isDryRun } = run;
    let { allowed } = run;
    if (task.needsConfirmation === true && !isDryRun && allowed === null) {
      const counted = await this.runner.run(task, { now, signal, isDryRun: true }, progress);
      if (counted.outcome !== 'succeeded') return counted;
      if (this.needsConfirmation(progress)) return { outcome: 'waiting' };
      try {
        allowed = await lease.write(() => this.allow(run, progress));
      } catch (error) {
        return { outcome: kindOf(error) === 'unavailable' ? 'unavailable' : 'failed', error };
      }
      if (allowed === null) return { outcome: 'aborted' };
    }
    const limit = allowed === null ? undefined : Number(allowed);
    return this.runner.run(task, { now, signal, isDryRun, allowed: limit }, progress);
  }

  /** Allows the changes that were counted. @returns null if another worker has the run */
  private async allow(run: TaskRun, progress: TaskProgress): Promise<bigint | null> {
    const { changed } = progress;
    const allowed = Math.max(this.config.confirmActions, changed);
    if (!(await this.runs.allow(run, changed, allowed))) return null;
    Object.assign(progress, newProgress());
    return BigInt(allowed);
  }

  private needsConfirmation({ changed, examined }: TaskProgress): boolean {
    const { confirmActions, confirmPercent } = this.config;
    return changed > confirmActions || (changed > FEW_CHANGES && changed * 100 > examined * confirmPercent);
  }

  /** @returns the run if it is to be continued at once */
  private async finish(
    task: DeclaredTask,
    run: TaskRun,
    progress: TaskProgress,
    { outcome, error }: Ended,
  ): Promise<HeldRun | null> {
    const { id, dryRun } = run;
    const { examined, changed, failed } = progress;
    const fields = { task: task.name, taskRun: String(id), dryRun, examined, changed, failed };
    switch (outcome) {
      case 'aborted':
        return (await this.runs.release(run, progress, 0)) ? run : null;
      case 'exceeded':
        this.logger.warn(fields, 'task found more changes than it counted');
        return (await this.runs.recount(run)) ? run : null;
      case 'unavailable':
        this.logger.warn(fields, 'task will be continued');
        await this.runs.release(run, progress, RETRY_MS);
        break;
      case 'waiting':
        this.logger.warn(fields, 'task waits for confirmation');
        await this.runs.wait(run, progress);
        break;
      case 'failed':
        await this.runs.end(run, progress, 'FAILED', messageOf(error));
        break;
      case 'succeeded':
        if (changed > 0) this.logger.info(fields, 'task finished');
        await this.succeed(task, run, progress);
    }
    return null;
  }

  private async succeed(task: DeclaredTask, run: TaskRun, progress: TaskProgress): Promise<void> {
    // The rows of a short interval would fill the table.
    const isUneventful = 'seconds' in task.schedule && progress.changed + progress.failed === 0;
    if (isUneventful && task.needsConfirmation !== true && (await this.runs.discard(run))) return;
    await this.runs.end(run, progress, 'SUCCEEDED');
  }
}

/** The message of a bug may contain anything. The reason of another error stands in docs/operating.md. */
const messageOf = (error: unknown) =>
  error instanceof StowageError ? `${error.message} (${error.reason})` : 'See the log of the worker.';
