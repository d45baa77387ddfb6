import { setTimeout as delay } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { PinoLogger } from 'nestjs-pino';
import { Clock } from '#libs/database';
import { unavailable } from '#libs/domain';
import type { TaskSchedule as Schedule } from '#libs/runtime';
import { type DeclaredTask, DeclaredTasks } from '../declared-tasks.js';
import { TaskRunner } from '../task-runner.js';
import { TaskRunsRepository } from '../task-runs.repository.js';
import { TaskRunsService } from '../task-runs.service.js';

/** Longest sleep. Either clock may be set meanwhile, and each process measures their offset once a minute. */
const MAX_SLEEP_MS = 60_000;
/** Interval at which a worker looks for runs whose job was lost or whose worker died. */
const RESUME_MS = 15_000;

/** Delay before a tick is tried again that the worker could not cover. */
const RETRY_MS = 5_000;

/**
 * Enqueues a run of each task at each tick. Every worker does so, and the first covers the tick. Runs that are due again are enqueued
 * by every worker too: the queue ignores a job that it has.
 */
@Injectable()
export class TaskSchedule implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly shutdown = new AbortController();
  private following: Promise<void>[] = [];
  private isResuming = false;

  constructor(
    private readonly tasks: DeclaredTasks,
    private readonly runs: TaskRunsRepository,
    private readonly service: TaskRunsService,
    private readonly runner: TaskRunner,
    private readonly clock: Clock,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(TaskSchedule.name);
  }

  /** @throws Error with one sentence if a task is invalid, or two tasks have one name; StowageError unavailable */
  async onApplicationBootstrap(): Promise<void> {
    const tasks = this.tasks.all();
    const rows = tasks.map(({ name, schedule }) => ({ name, schedule: textOf(schedule) }));
    await this.runs.declare(rows, this.clock.now());
    this.following = tasks.map((task) => this.follow(task));
    await this.resume();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.shutdown.abort(unavailable('SHUTTING_DOWN', 'This worker is stopping.'));
    await Promise.all(this.following);
  }

  /**
   * Enqueues a run if the task has something to do and no worker has covered the tick. Never rejects.
   * @returns false if the tick is to be tried again
   */
  async tick(task: DeclaredTask, tick: Date): Promise<boolean> {
    if (this.clock.isBeyondLimit) return false;
    try {
      const { signal } = this.shutdown;
      if ('seconds' in task.schedule && !(await this.runner.isDue(task, this.clock.now(), signal)))
        return true;
      const run = await this.runs.cover(task.name, tick);
      if (run !== null) await this.service.enqueue(run);
      return true;
    } catch (err) {
      if (!this.shutdown.signal.aborted) this.logger.warn({ err, task: task.name }, 'task not started');
      return false;
    }
  }

  /** Enqueues the runs that may be begun. Never rejects. */
  @Interval(RESUME_MS)
  async resume(): Promise<void> {
    if (this.isResuming || this.shutdown.signal.aborted) return;
    this.isResuming = true;
    try {
      const due = await this.runs.due(this.tasks.all().map(({ name }) => name));
      for (const run of due) {
        // Each further run would wait for the queue too.
        if (!(await this.service.enqueue(run))) break;
      }
    } catch (err) {
      this.logger.warn({ err }, 'runs of tasks not continued');
    } finally {
      this.isResuming = false;
    }
  }

  private async follow(task: DeclaredTask): Promise<void> {
    for (let tick = task.nextTick(this.clock.now()); await this.sleep(tick);) {
      const covered = tick;
      tick = task.nextTick(this.clock.now());
      // A short outage must not cost the run of a day.
      while (!(await this.tick(task, covered))) {
        const retryAt = new Date(this.clock.now().getTime() + RETRY_MS);
        if (retryAt >= tick || !(await this.sleep(retryAt))) break;
      }
    }
  }

  /** Sleeps until a time of the database's clock. @returns false if the worker stops */
  private async sleep(until: Date): Promise<boolean> {
    const { signal } = this.shutdown;
    while (!signal.aborted) {
      const ms = until.getTime() - this.clock.now().getTime();
      if (ms <= 0) return true;
      await delay(Math.min(ms, MAX_SLEEP_MS), undefined, { signal }).catch(() => undefined);
    }
    return false;
  }
}

const textOf = (schedule: Schedule) =>
  'seconds' in schedule
    ? `every ${schedule.seconds} s`
    : `${schedule.cron} ${schedule.timeZone ?? 'UTC'}`.slice(0, 128);
