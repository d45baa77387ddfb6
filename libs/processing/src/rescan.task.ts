import { Injectable } from '@nestjs/common';
import { Clock } from '#libs/database';
import { StowageTask, type TaskContext } from '#libs/runtime';
import { ProcessingConfig } from './processing.config.js';
import { RescanService } from './rescan.service.js';

/** Pause after a pass in which no object needed a scan. */
const IDLE_MS = 10_000;

/**
 * Rescans objects at the configured rate: a large object is followed by a long pause, small ones by none. With one object per
 * second, a pass over a million small objects would take longer than the time between two updates of signatures, and the last
 * objects of the order would never be scanned.
 */
@Injectable()
export class RescanTask {
  private pausedUntil = 0;

  constructor(
    private readonly config: ProcessingConfig,
    private readonly rescan: RescanService,
    private readonly clock: Clock,
  ) {}

  @StowageTask('signatures', { seconds: 1 })
  async run({ signal }: Pick<TaskContext, 'signal'>): Promise<void> {
    const time = () => this.clock.now().getTime();
    for (let now = time(); now >= this.pausedUntil && !signal.aborted; now = time()) {
      const bytes = await this.rescan.next(new Date(now), signal);
      const pauseMs = bytes === null ? IDLE_MS : (bytes * 1000) / this.config.rescanBytesPerSecond;
      this.pausedUntil = now + Math.floor(pauseMs);
    }
  }
}
