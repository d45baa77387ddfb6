import { Injectable } from '@nestjs/common';
import { StowageTask, type TaskContext, type TaskStep } from '#libs/runtime';
import { ProcessingConfig } from './processing.config.js';
import { RescanService } from './rescan.service.js';

/** Rescans objects at the configured rate: a large object is followed by a long pause, small ones by none. */
@Injectable()
export class RescanTask {
  constructor(
    private readonly config: ProcessingConfig,
    private readonly rescan: RescanService,
  ) {}

  @StowageTask('signatures', { seconds: 10 }, { concurrency: 1 })
  async *run({ now, signal, isDryRun }: TaskContext): AsyncGenerator<TaskStep> {
    if (isDryRun) {
      for await (const objects of this.rescan.pending(now, signal)) {
        for (const { id } of objects) yield step(id, () => Promise.resolve());
      }
      return;
    }
    for (let object; (object = await this.rescan.claim(now, signal)) !== null;) {
      const { id, sizeBytes } = object;
      const claimed = object;
      const paceMs = Math.floor((sizeBytes * 1000) / this.config.rescanBytesPerSecond);
      yield { ...step(id, () => this.rescan.rescan(claimed, now, signal)), paceMs };
    }
  }
}

function step(id: bigint, scan: () => Promise<void>): TaskStep {
  const perform = () => scan().then(() => true);
  return {
    subject: { storedObject: String(id) },
    examine: () => ({ action: 'scan', subject: `object ${id}`, perform }),
  };
}
