import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Clock } from '#libs/database';
import { StowageError, unavailable } from '#libs/domain';
import { type DeclaredTask, DeclaredTasks } from './declared-tasks.js';
import { newProgress, type TaskOutcome, type TaskProgress, TaskRunner } from './task-runner.js';
import {
  type HeldRun,
  LEASE_MS,
  progressOf,
  type TaskRun,
  TaskRunsRepository,
} from './task-runs.repository.js';
import { TasksConfig } from './tasks.config.js';

/** Interval at which progress is recorded. */
const RECORD_MS = 2_000;
/** Delay before a run that a dependency has ended is continued. */
const RETRY_MS = 60_000;
/** Workers that may die one after the other in a run that makes no progress. */
const MAX_CRASHES = 3;
/** Changes that need no confirmation, however few objects are examined. */
const FEW_CHANGES = 20;

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
   * Begins or continues a run, unless another worker has it or it is finished.
   * @throws StowageError unavailable
   */
  async execute(id: bigint, signal: AbortSignal): Promise<void> {
    if (this.clock.isBeyondLimit) return;
    const sentAt = performance.now();
    const run = await this.runs.begin(id);
    if (run === null) return;
    const task = this.tasks.find(run.task);
    const progress = progressOf(run);
    if (task === undefined) {
      // A worker of another release may have it.
      return this.runs.release(run, progress, RETRY_MS);
    }
    if (run.crashes >= MAX_CRASHES) {
      this.logger.error({ task: task.name, taskRun: String(id) }, 'task crashed its workers');
      return this.runs.end(run, progress, 'FAILED', `${MAX_CRASHES} workers ended during this run.`);
    }
    const ended = await this.withLease(run, progress, sentAt, async (lost) => {
      const aborted = AbortSignal.any([signal, lost]);
      return this.perform(task, run, progress, aborted);
    });
    await this.finish(task, run, progress, ended);
  }

  /** Counts the changes first if they may need a confirmation. */
  private async perform(task: DeclaredTask, run: TaskRun, progress: TaskProgress, signal: AbortSignal) {
    const now = run.startedAt ?? this.clock.now();
    let { allowed } = run;
    if (task.needsConfirmation === true && !run.dryRun && allowed === null) {
      const counted = await this.runner.run(task, { now, signal, isDryRun: true }, progress);
      if (counted.outcome !== 'succeeded') return counted;
      if (this.needsConfirmation(progress)) return { outcome: 'waiting' as const };
      allowed = BigInt(Math.max(this.config.confirmActions, progress.changed));
      if (!(await this.runs.allow(run, progress.changed, Number(allowed))))
        return { outcome: 'aborted' as const };
      Object.assign(progress, newProgress());
    }
    const options = {
      now,
      signal,
      isDryRun: run.dryRun,
      allowed: allowed === null ? undefined : Number(allowed),
    };
    return this.runner.run(task, options, progress);
  }

  private needsConfirmation({ changed, examined }: TaskProgress): boolean {
    const { confirmActions, confirmPercent } = this.config;
    return changed > confirmActions || (changed > FEW_CHANGES && changed * 100 > examined * confirmPercent);
  }

  private async finish(
    task: DeclaredTask,
    run: TaskRun,
    progress: TaskProgress,
    { outcome, error }: { outcome: TaskOutcome | 'waiting'; error?: unknown },
  ): Promise<void> {
    const { examined, changed, failed } = progress;
    const fields = {
      task: task.name,
      taskRun: String(run.id),
      dryRun: run.dryRun,
      examined,
      changed,
      failed,
    };
    switch (outcome) {
      case 'aborted':
        return this.runs.release(run, progress, 0);
      case 'unavailable':
        this.logger.warn(fields, 'task will be continued');
        return this.runs.release(run, progress, RETRY_MS);
      case 'waiting':
        this.logger.warn(fields, 'task waits for confirmation');
        return this.runs.wait(run, progress);
      case 'exceeded':
        return this.runs.recount(run);
      case 'failed':
        // The message of a bug may contain anything.
        return this.runs.end(
          run,
          progress,
          'FAILED',
          error instanceof StowageError ? error.message : 'See the log of the worker.',
        );
      default:
        if (changed > 0) this.logger.info(fields, 'task finished');
        // A short interval would fill the table.
        if ('seconds' in task.schedule && changed + failed === 0 && (await this.runs.discard(run))) return;
        return this.runs.end(run, progress, 'SUCCEEDED');
    }
  }

  /** Records the progress and renews the lease during the work. The work's signal aborts before another worker can take the run. */
  private async withLease<T>(
    run: HeldRun,
    progress: TaskProgress,
    sentAt: number,
    work: (lost: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const lost = new AbortController();
    const lose = () => lost.abort(unavailable('LEASE_LOST', 'Another worker may have taken over this run.'));
    const expireAfter = (since: number) => setTimeout(lose, since + LEASE_MS - performance.now());
    let expiry = expireAfter(sentAt);
    let recording: Promise<void> | undefined;
    const record = async () => {
      const since = performance.now();
      // After an error it is unknown whether the lease was renewed, so the present expiry stays.
      const isHeld = await this.runs.record(run, progress).catch(() => null);
      if (isHeld === false) lose();
      if (isHeld !== true) return;
      clearTimeout(expiry);
      expiry = expireAfter(since);
    };
    const timer = setInterval(() => {
      recording ??= record().finally(() => (recording = undefined));
    }, RECORD_MS);
    try {
      return await work(lost.signal);
    } finally {
      clearInterval(timer);
      // A record that arrived after the end would find another state, but the end must not overtake it.
      await recording;
      clearTimeout(expiry);
    }
  }
}
