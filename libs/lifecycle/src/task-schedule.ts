import {
  type BeforeApplicationShutdown,
  Injectable,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { SchedulerRegistry } from '@nestjs/schedule';
import { Clock } from '#libs/database';
import { unavailable } from '#libs/domain';
import { Contributions } from '#libs/runtime';
import { CronRuns } from './cron-runs.js';
import { type DeclaredTask, declaredTasks } from './declared-tasks.js';
import { TaskRunner } from './task-runner.js';

/** Schedules the methods with `@StowageTask` of all loaded modules. */
@Injectable()
export class TaskSchedule
  implements OnModuleInit, OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown
{
  private tasks: ReadonlyMap<string, DeclaredTask> = new Map();
  private readonly running = new Map<string, Promise<unknown>>();
  private readonly shutdown = new AbortController();

  constructor(
    private readonly contributions: Contributions,
    private readonly intervals: SchedulerRegistry,
    private readonly cronRuns: CronRuns,
    private readonly runner: TaskRunner,
    private readonly clock: Clock,
  ) {}

  /** @throws Error with one sentence if a task is invalid, or two tasks have one name */
  onModuleInit(): void {
    this.tasks = declaredTasks(this.contributions);
  }

  onApplicationBootstrap(): void {
    for (const task of this.tasks.values()) {
      const { name, schedule } = task;
      if ('seconds' in schedule) {
        const timer = setInterval(() => void this.run(name), schedule.seconds * 1000);
        this.intervals.addInterval(name, timer);
      } else {
        this.running.set(name, this.cronRuns.follow(task, schedule.next, this.shutdown.signal));
      }
    }
  }

  /**
   * Runs a task with an interval, unless it is running in this process, the process stops, or its clock is wrong.
   * @throws Error if there is no task of this name
   */
  async run(name: string): Promise<void> {
    const task = this.tasks.get(name);
    if (task === undefined) throw new Error(`There is no task ${name}.`);
    if (this.running.has(name) || this.shutdown.signal.aborted || this.clock.isBeyondLimit) return;
    const run = this.runner.run(task, this.shutdown.signal).finally(() => this.running.delete(name));
    this.running.set(name, run);
    await run;
  }

  /** Aborts the running tasks first, so that the shutdown does not wait for them to finish. */
  onModuleDestroy(): void {
    this.shutdown.abort(unavailable('SHUTTING_DOWN', 'This worker is stopping.'));
  }

  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all(this.running.values());
  }
}
