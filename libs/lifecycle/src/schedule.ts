import { Injectable } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { PinoLogger } from 'nestjs-pino';
import { type Sweep, Sweeper } from './sweeper.service.js';

const EVERY_MS = 10_000;

/** When the tasks of this lib run. Any number of workers may run them at once. */
@Injectable()
export class LifecycleSchedule {
  private readonly running = new Set<string>();

  constructor(
    private readonly sweeper: Sweeper,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(LifecycleSchedule.name);
  }

  @Interval(EVERY_MS)
  unfinished(): Promise<void> {
    return this.run('unfinished', (now) => this.sweeper.sweepUnfinished(now));
  }

  @Interval(EVERY_MS)
  waste(): Promise<void> {
    return this.run('waste', (now) => this.sweeper.sweepWaste(now));
  }

  @Interval(EVERY_MS)
  objects(): Promise<void> {
    return this.run('objects', (now) => this.sweeper.sweepObjects(now));
  }

  private async run(task: string, sweep: (now: Date) => Promise<Sweep>): Promise<void> {
    if (this.running.has(task)) return;
    this.running.add(task);
    try {
      await sweep(new Date());
    } catch (err) {
      this.logger.warn({ err, task }, 'task not run');
    } finally {
      this.running.delete(task);
    }
  }
}
