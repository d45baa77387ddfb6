import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Counter, Registry } from 'prom-client';
import { Clock } from '#libs/database';
import { kindOf } from '#libs/domain';
import type { DeclaredTask } from './declared-tasks.js';

/**
 * - `succeeded`
 * - `unavailable`: a dependency was not available, so the task should run again soon
 * - `failed`: any other error
 * - `aborted`: the task's signal aborted, so the task may be incomplete whether it resolved or rejected
 * - `crashed`: not run, because its workers died in earlier runs
 */
export type TaskOutcome = 'succeeded' | 'unavailable' | 'failed' | 'aborted' | 'crashed';

/** Runs tasks, logs their errors and counts their outcomes. */
@Injectable()
export class TaskRunner {
  private readonly runs: Counter<'task' | 'outcome'>;

  constructor(
    private readonly clock: Clock,
    private readonly logger: PinoLogger,
    registry: Registry,
  ) {
    logger.setContext(TaskRunner.name);
    this.runs = new Counter({
      name: 'stowage_task_runs_total',
      help: 'Number of runs of scheduled tasks, by task and outcome',
      labelNames: ['task', 'outcome'],
      registers: [registry],
    });
  }

  /** Runs a task once. Never rejects. */
  async run({ name, call }: Pick<DeclaredTask, 'name' | 'call'>, signal: AbortSignal): Promise<TaskOutcome> {
    try {
      await call({ now: this.clock.now(), signal });
      return this.count(name, signal.aborted ? 'aborted' : 'succeeded');
    } catch (err) {
      if (signal.aborted) return this.count(name, 'aborted');
      this.logger.warn({ err, task: name }, 'task failed');
      return this.count(name, kindOf(err) === 'unavailable' ? 'unavailable' : 'failed');
    }
  }

  /** Counts a task that is not run. */
  count(task: string, outcome: TaskOutcome): TaskOutcome {
    this.runs.inc({ task, outcome });
    return outcome;
  }
}
