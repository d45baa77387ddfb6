import { Processor, WorkerHost } from '@nestjs/bullmq';
import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import type { Job } from 'bullmq';
import { PinoLogger } from 'nestjs-pino';
import { type AssetReceived, unavailable } from '#libs/domain';
import {
  CRASHES_PER_ATTEMPT,
  PROCESS_QUEUE,
  settleJob,
  WorkerDeaths,
  type WorkerLimits,
  workerOptions,
} from '#libs/jobs';
import { Processing } from '../processing.service.js';

export type ProcessingOptions = WorkerLimits;

/** Options of a BullMQ worker belong to the class of its processor: this is how they get there at run time. */
export const processorOf = (options: ProcessingOptions) => {
  Processor(PROCESS_QUEUE, workerOptions(options))(ProcessAssetProcessor);
  return ProcessAssetProcessor;
};

@Injectable()
export class ProcessAssetProcessor
  extends WorkerHost
  implements OnApplicationBootstrap, BeforeApplicationShutdown
{
  private readonly shutdown = new AbortController();

  constructor(
    private readonly processing: Processing,
    private readonly deaths: WorkerDeaths,
    private readonly logger: PinoLogger,
  ) {
    super();
    logger.setContext(ProcessAssetProcessor.name);
  }

  onApplicationBootstrap(): void {
    this.worker.on('error', (err) => this.logger.warn({ err }, 'queue trouble'));
    this.deaths.watch(this.worker);
    this.worker.run().catch((err: unknown) => this.logger.error({ err }, 'the queue worker stopped'));
  }

  /** What is running goes back to the queue, with no attempt used up. */
  async beforeApplicationShutdown(): Promise<void> {
    this.shutdown.abort(unavailable('SHUTTING_DOWN', 'This worker is stopping.'));
    await this.worker.close();
  }

  async process(job: Job<AssetReceived>, token?: string): Promise<void> {
    const { assetId, attempt, requestId } = job.data;
    const bindings = { reqId: requestId, assetId, attempt };
    const work = () => this.deaths.during(job, () => this.work(job, token));
    await this.logger.runInContext(work, { bindings });
  }

  private async work(job: Job<AssetReceived>, token?: string): Promise<void> {
    const { signal } = this.shutdown;
    try {
      const deaths = await this.deaths.on(job, this.worker.opts.lockDuration ?? 0, signal);
      if (deaths >= CRASHES_PER_ATTEMPT) await this.processing.crashed(job.data, deaths);
      else await this.processing.process(job.data, signal);
    } catch (error) {
      const err: unknown = signal.aborted ? signal.reason : error;
      this.logger.warn({ err }, 'job not finished');
      await settleJob(job, token, err, (lost) => this.deaths.outlived(lost));
    }
  }
}
