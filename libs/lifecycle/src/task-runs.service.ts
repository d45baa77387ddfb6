import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { isUniqueViolation } from '#libs/database';
import { StowageError } from '#libs/domain';
import { QueueService } from '#libs/queue';
import { type HeldRun, type TaskRun, TaskRunsRepository } from './task-runs.repository.js';

const MAX_LISTED = 100;

/** Runs of tasks for operators. Workers run them. */
@Injectable()
export class TaskRunsService {
  constructor(
    private readonly runs: TaskRunsRepository,
    private readonly queue: QueueService,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(TaskRunsService.name);
  }

  /**
   * Runs a task now. A repeat while the run is unfinished returns the same run.
   * @param dryRun lists the actions without performing them
   * @throws StowageError not-found TASK_NOT_FOUND; unavailable
   */
  async request(task: string, dryRun: boolean): Promise<TaskRun> {
    const names = await this.runs.names();
    if (!names.includes(task)) {
      throw new StowageError(
        'not-found',
        'TASK_NOT_FOUND',
        `There is no such task. The tasks are ${names.join(', ')}.`,
        {
          path: ['task'],
        },
      );
    }
    const run = await this.runs.request(task, dryRun);
    await this.enqueue(run);
    return run;
  }

  /**
   * Lets a run continue that waits because it would change more than the configured number or share. A repeat returns the run.
   * @throws StowageError not-found TASK_RUN_NOT_FOUND; conflict TASK_RUN_NOT_WAITING, TASK_RUN_UNFINISHED;
   * unavailable
   */
  async confirm(id: bigint): Promise<TaskRun> {
    const confirmed = await this.runs.confirm(id).catch((error: unknown) => {
      if (isUniqueViolation(error)) throw unfinished();
      throw error;
    });
    if (confirmed !== null) {
      await this.enqueue(confirmed);
      return confirmed;
    }
    const run = await this.runs.find(id);
    if (run === null)
      throw new StowageError('not-found', 'TASK_RUN_NOT_FOUND', 'No run of a task has this id.');
    if (run.planned === null || run.state === 'CANCELLED') {
      throw new StowageError(
        'conflict',
        'TASK_RUN_NOT_WAITING',
        `This run is ${run.state} and does not wait for a confirmation.`,
      );
    }
    return run;
  }

  /** The latest runs, newest first. @throws StowageError unavailable */
  list(task: string | undefined, limit: number): Promise<TaskRun[]> {
    return this.runs.list(task, Math.min(limit, MAX_LISTED));
  }

  /** Enqueues a run. @returns false after an error, which is logged: the workers enqueue runs again that have no job */
  async enqueue({ id, attempt }: HeldRun): Promise<boolean> {
    try {
      await this.queue.enqueueTaskRun(id, attempt);
      return true;
    } catch (err) {
      this.logger.warn({ err, taskRun: String(id) }, 'run of a task not enqueued yet');
      return false;
    }
  }
}

const unfinished = () =>
  new StowageError(
    'conflict',
    'TASK_RUN_UNFINISHED',
    'Another run of this task is not finished. Confirm this run again when it is.',
  );
