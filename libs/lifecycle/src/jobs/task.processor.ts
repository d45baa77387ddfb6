import { Processor, WorkerHost } from '@nestjs/bullmq';
import { type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import type { Job } from 'bullmq';
import { PinoLogger } from 'nestjs-pino';
import { unavailable } from '#libs/domain';
import { TASK_QUEUE, type TaskJob, workerOptions } from '#libs/queue';
import { TaskExecutionService } from '../task-execution.service.js';
import { TaskRunsService } from '../task-runs.service.js';

/** Runs of one worker at a time. They mostly wait for the database and storage, and a long one must not delay short ones. */
const CONCURRENCY = 32;
const LOCK_SECONDS = 30;
/** Time for which a worker waits for a notification of the queue before it asks again. */
const DRAIN_SECONDS = 30;

/**
 * Executes runs of tasks. A run that was not finished has a row that the workers find again, so its job always ends. The lease in the row
 * decides which worker has a run; the queue takes back the jobs of a worker that died before it began them.
 */
@Processor(TASK_QUEUE, {
  ...workerOptions({ concurrency: CONCURRENCY, lockSeconds: LOCK_SECONDS }),
  drainDelay: DRAIN_SECONDS,
})
export class TaskProcessor extends WorkerHost implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly shutdown = new AbortController();

  constructor(
    private readonly execution: TaskExecutionService,
    private readonly service: TaskRunsService,
    private readonly logger: PinoLogger,
  ) {
    super();
    logger.setContext(TaskProcessor.name);
  }

  onApplicationBootstrap(): void {
    this.worker.on('error', (err) => this.logger.warn({ err }, 'queue error'));
    this.worker.run().catch((err: unknown) => this.logger.error({ err }, 'queue worker stopped'));
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.shutdown.abort(unavailable('SHUTTING_DOWN', 'This worker is stopping.'));
    await this.worker.close();
  }

  async process({ data: { runId } }: Job<TaskJob>): Promise<void> {
    try {
      const released = await this.execution.execute(BigInt(runId), this.shutdown.signal);
      if (released !== null) await this.service.enqueue(released);
    } catch (err) {
      this.logger.warn({ err, taskRun: runId }, 'run of a task not finished');
    }
  }
}
