import { InjectQueue } from '@nestjs/bullmq';
import { Injectable } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { type AssetReceived, unavailable } from '#libs/domain';
import { PROCESS_QUEUE } from './queues.js';

const ENQUEUE_TIMEOUT_MS = 5_000;

/** Hands work to the workers. */
@Injectable()
export class Jobs {
  constructor(@InjectQueue(PROCESS_QUEUE) private readonly queue: Queue<AssetReceived>) {}

  /**
   * Enqueues once per asset, generation and attempt while such a job is there; a job that ended leaves nothing behind
   * that could swallow the next one.
   * @throws StowageError unavailable QUEUE_UNAVAILABLE
   */
  async process(received: AssetReceived, delayMs = 0): Promise<void> {
    const { assetId, generation, attempt } = received;
    const added = this.queue.add('process', received, {
      jobId: `${assetId}.${generation}.${attempt}`,
      delay: delayMs,
      removeOnComplete: true,
      removeOnFail: true,
    });
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('no answer from the queue')), ENQUEUE_TIMEOUT_MS);
    });
    try {
      await Promise.race([added, tooLong]);
    } catch (error) {
      throw unavailable('QUEUE_UNAVAILABLE', 'The work queue is not available. Try again later.', error);
    } finally {
      clearTimeout(timer);
    }
  }
}
