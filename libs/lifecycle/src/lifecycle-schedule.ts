import { type BeforeApplicationShutdown, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { PinoLogger } from 'nestjs-pino';
import { Clock } from '#libs/database';
import { unavailable } from '#libs/domain';
import { InfectedContentService, RescanService, VariantRebuildService } from '#libs/processing';
import { LifecycleConfig } from './lifecycle.config.js';
import { SweeperService } from './sweeper.service.js';

const EVERY_MS = 10_000;
/** Interval of tasks that handle one object per run. */
const OBJECT_EVERY_MS = 1_000;

/** Schedules the tasks. Any number of workers may run a task concurrently; within one worker a task does not overlap itself. */
@Injectable()
export class LifecycleSchedule implements OnModuleDestroy, BeforeApplicationShutdown {
  private readonly running = new Map<string, Promise<void>>();
  private readonly shutdown = new AbortController();
  private rescanAt = 0;

  constructor(
    private readonly config: LifecycleConfig,
    private readonly sweeper: SweeperService,
    private readonly rescan: RescanService,
    private readonly variantRebuild: VariantRebuildService,
    private readonly infectedContent: InfectedContentService,
    private readonly clock: Clock,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(LifecycleSchedule.name);
  }

  @Interval(EVERY_MS)
  unfinished(): Promise<void> {
    return this.run('unfinished', (now) => this.sweeper.sweepUnfinished(now, this.shutdown.signal));
  }

  @Interval(EVERY_MS)
  abandoned(): Promise<void> {
    return this.run('abandoned', (now) => this.sweeper.sweepAbandoned(now, this.shutdown.signal));
  }

  @Interval(EVERY_MS)
  objects(): Promise<void> {
    return this.run('objects', (now) => this.sweeper.sweepObjects(now, this.shutdown.signal));
  }

  @Interval(EVERY_MS)
  quarantine(): Promise<void> {
    return this.run('quarantine', (now) => this.infectedContent.resume(now, this.shutdown.signal));
  }

  /**
   * Rescans objects at the configured rate: a large object is followed by a long pause, small ones by none. With one object per
   * second, a pass over a million small objects would take longer than the time between two updates of signatures, and the last
   * objects of the order would never be scanned.
   */
  @Interval(OBJECT_EVERY_MS)
  signatures(): Promise<void> {
    return this.run('signatures', async () => {
      const { signal } = this.shutdown;
      const time = () => this.clock.now().getTime();
      for (let now = time(); now >= this.rescanAt && !signal.aborted; now = time()) {
        const bytes = await this.rescan.next(new Date(now), signal);
        const pauseMs = bytes === null ? EVERY_MS : (bytes * 1000) / this.config.rescanBytesPerSecond;
        this.rescanAt = now + Math.floor(pauseMs);
      }
    });
  }

  @Interval(OBJECT_EVERY_MS)
  variants(): Promise<void> {
    return this.run('variants', (now) => this.variantRebuild.next(now, this.shutdown.signal));
  }

  /** Aborts the running tasks first, so that the shutdown does not wait for them to finish. */
  onModuleDestroy(): void {
    this.shutdown.abort(unavailable('SHUTTING_DOWN', 'This worker is stopping.'));
  }

  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all(this.running.values());
  }

  private run(task: string, work: (now: Date) => Promise<unknown>): Promise<void> {
    const running = this.running.get(task);
    if (running !== undefined || this.shutdown.signal.aborted || this.clock.isBeyondLimit)
      return Promise.resolve();
    const done = work(this.clock.now())
      .then(
        () => undefined,
        (err: unknown) => this.logger.warn({ err, task }, 'task failed'),
      )
      .finally(() => this.running.delete(task));
    this.running.set(task, done);
    return done;
  }
}
