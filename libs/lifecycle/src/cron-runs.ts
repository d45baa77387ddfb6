import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Clock } from '#libs/database';
import { unavailable } from '#libs/domain';
import type { DeclaredTask, NextTick } from './declared-tasks.js';
import { TaskRunner } from './task-runner.js';
import { LEASE_MS, type TaskRun, TaskTicksRepository } from './task-ticks.repository.js';

/** Number of workers that may die in runs of one tick. The next tick is run again. */
const MAX_ATTEMPTS = 3;
/** Delay before a run that failed for an unavailable dependency is repeated. */
const RETRY_MS = 60_000;
/** Longest sleep. Either clock may be set meanwhile, and each process measures their offset once a minute. */
const MAX_SLEEP_MS = 60_000;
/** Shortest time between two looks at an unfinished run. */
const MIN_PAUSE_MS = 1_000;

/** A tick that this worker attends to again at a time; a null tick stands for an unfinished run. */
interface Pending {
  readonly tick: Date | null;
  readonly at: Date;
}

type CronTask = Pick<DeclaredTask, 'name' | 'call'>;

/**
 * Runs tasks with a cron schedule once per tick among all workers. Every worker tries to take each tick. A worker that does not get it
 * looks again when the lease of the running worker ends, until the run has finished: it repeats the run of a worker that died.
 * Between ticks a worker does nothing.
 */
@Injectable()
export class CronRuns {
  constructor(
    private readonly ticks: TaskTicksRepository,
    private readonly runner: TaskRunner,
    private readonly clock: Clock,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(CronRuns.name);
  }

  /** Follows the schedule of a task until the signal aborts. Never rejects. */
  async follow(task: CronTask, nextTick: NextTick, signal: AbortSignal): Promise<void> {
    let next = nextTick(this.clock.now());
    // A worker that died before this one started may have left a run.
    let pending: Pending | null = { tick: null, at: this.clock.now() };
    while (await this.sleep(pending !== null && pending.at < next ? pending.at : next, signal)) {
      let tick = pending?.tick ?? null;
      if (this.clock.now() >= next) {
        tick = next;
        next = nextTick(this.clock.now());
      }
      pending = await this.attend(task, tick, signal);
    }
  }

  /**
   * Runs the task if this worker gets the tick. Never rejects.
   * @param tick null to look only for the unfinished run of another worker
   * @returns when to attend to the task again; null if no run is unfinished
   */
  async attend(task: CronTask, tick: Date | null, signal: AbortSignal): Promise<Pending | null> {
    const after = (ms: number) => new Date(this.clock.now().getTime() + ms);
    // Another worker takes the tick.
    if (this.clock.isBeyondLimit) return { tick, at: after(RETRY_MS) };
    try {
      const sentAt = performance.now();
      const run = tick === null ? null : await this.ticks.take(task.name, tick);
      if (run !== null) await this.perform(task, run, sentAt, signal);
      const unfinished = await this.ticks.unfinished(task.name);
      if (unfinished === null) return null;
      const at = Math.max(unfinished.leasedUntil.getTime(), after(MIN_PAUSE_MS).getTime());
      return { tick: unfinished.tick, at: new Date(at) };
    } catch (err) {
      this.logger.warn({ err, task: task.name }, 'task not started or its end not recorded, will be retried');
      return { tick, at: after(RETRY_MS) };
    }
  }

  /** @param sentAt time of `performance.now()` before the lease began */
  private async perform(task: CronTask, run: TaskRun, sentAt: number, signal: AbortSignal): Promise<void> {
    if (run.attempts > MAX_ATTEMPTS) {
      this.logger.error({ task: task.name, attempts: MAX_ATTEMPTS }, 'task crashed its workers');
      this.runner.count(task.name, 'crashed');
      return this.ticks.finish(run);
    }
    const outcome = await this.withLease(run, sentAt, (lost) =>
      this.runner.run(task, AbortSignal.any([signal, lost])),
    );
    switch (outcome) {
      case 'aborted':
        return this.ticks.release(run, 0);
      case 'unavailable':
        return this.ticks.release(run, RETRY_MS);
      default:
        return this.ticks.finish(run);
    }
  }

  /** Renews the lease of a run during the work. The work's signal aborts before another worker can take the lease. */
  private async withLease<T>(
    run: TaskRun,
    sentAt: number,
    work: (lost: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const lost = new AbortController();
    const lose = () => lost.abort(unavailable('LEASE_LOST', 'Another worker may have taken over this task.'));
    const expireAfter = (since: number) => setTimeout(lose, since + LEASE_MS - performance.now());
    let expiry = expireAfter(sentAt);
    const renew = async () => {
      const since = performance.now();
      // After an error it is unknown whether the lease was renewed, so the present expiry stays.
      const isHeld = await this.ticks.renew(run).catch(() => null);
      if (isHeld === false) lose();
      if (isHeld !== true) return;
      clearTimeout(expiry);
      expiry = expireAfter(since);
    };
    let renewing: Promise<void> | undefined;
    const renewal = setInterval(() => {
      renewing = renew();
    }, LEASE_MS / 3);
    try {
      return await work(lost.signal);
    } finally {
      clearInterval(renewal);
      // A renewal that arrived after the release would extend the lease.
      await renewing;
      clearTimeout(expiry);
    }
  }

  /** Sleeps until a time of the database's clock. @returns false if the signal aborted */
  private async sleep(until: Date, signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      const ms = until.getTime() - this.clock.now().getTime();
      if (ms <= 0) return true;
      await delay(Math.min(ms, MAX_SLEEP_MS), undefined, { signal }).catch(() => undefined);
    }
    return false;
  }
}
