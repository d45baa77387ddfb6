import { InjectQueue, WorkerHost } from '@nestjs/bullmq';
import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import type { Job, Queue } from 'bullmq';
import { PinoLogger } from 'nestjs-pino';
import { type AssetReceived, unavailable } from '#libs/domain';
import {
  CRASHES_PER_ATTEMPT,
  INSPECT_QUEUE,
  QueueService,
  PROCESS_QUEUE,
  endJob,
  CrashTracker,
} from '#libs/queue';
import { ProcessingService } from '../processing.service.js';

/** The worker of one queue. Handles the end, failure, stall and return of its jobs. */
abstract class AssetProcessor
  extends WorkerHost
  implements OnApplicationBootstrap, BeforeApplicationShutdown
{
  private readonly shutdown = new AbortController();
  private readonly crashes: CrashTracker;

  constructor(
    queue: Queue,
    protected readonly processing: ProcessingService,
    protected readonly logger: PinoLogger,
  ) {
    super();
    this.crashes = new CrashTracker(queue);
  }

  onApplicationBootstrap(): void {
    this.worker.on('error', (err) => this.logger.warn({ err }, 'queue error'));
    this.crashes.watch(this.worker);
    this.worker.run().catch((err: unknown) => this.logger.error({ err }, 'queue worker stopped'));
  }

  /** Returns running jobs to the queue without using up an attempt. */
  async beforeApplicationShutdown(): Promise<void> {
    this.shutdown.abort(unavailable('SHUTTING_DOWN', 'This worker is stopping.'));
    await this.worker.close();
  }

  async process(job: Job<AssetReceived>, token?: string): Promise<void> {
    const { assetId, attempt, requestId } = job.data;
    const bindings = { reqId: requestId, assetId, attempt };
    const work = () => this.crashes.run(job, () => this.work(job, token));
    await this.logger.runInContext(work, { bindings });
  }

  protected abstract run(job: Job<AssetReceived>, signal: AbortSignal): Promise<void>;

  private async work(job: Job<AssetReceived>, token?: string): Promise<void> {
    const { signal } = this.shutdown;
    try {
      const crashes = await this.crashes.countCrashes(job, this.worker.opts.lockDuration ?? 0, signal);
      if (crashes >= CRASHES_PER_ATTEMPT) await this.processing.crashed(job.data, crashes);
      else await this.run(job, signal);
    } catch (error) {
      const err: unknown = signal.aborted ? signal.reason : error;
      this.logger.warn({ err }, 'job not finished');
      await endJob(job, token, err, (lost) => this.crashes.reportLostLock(lost));
    }
  }
}

/** Processes files that need no reader, and moves jobs of other files to the queue of inspections. */
@Injectable()
export class ProcessAssetProcessor extends AssetProcessor {
  constructor(
    @InjectQueue(PROCESS_QUEUE) queue: Queue,
    private readonly jobs: QueueService,
    processing: ProcessingService,
    logger: PinoLogger,
  ) {
    super(queue, processing, logger);
    logger.setContext(ProcessAssetProcessor.name);
  }

  protected override async run({ data, opts }: Job<AssetReceived>, signal: AbortSignal): Promise<void> {
    if (await this.processing.processUninspected(data, signal)) return;
    await this.jobs.enqueueInspection({ received: data, priority: opts.priority ?? 1 });
  }
}

/** Processes files that need a reader. */
@Injectable()
export class InspectAssetProcessor extends AssetProcessor {
  constructor(@InjectQueue(INSPECT_QUEUE) queue: Queue, processing: ProcessingService, logger: PinoLogger) {
    super(queue, processing, logger);
    logger.setContext(InspectAssetProcessor.name);
  }

  protected override run({ data }: Job<AssetReceived>, signal: AbortSignal): Promise<void> {
    return this.processing.process(data, signal);
  }
}
