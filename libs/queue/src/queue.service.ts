import { InjectQueue } from '@nestjs/bullmq';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { PinoLogger } from 'nestjs-pino';
import { Database, statement } from '#libs/database';
import { type AssetReceived, kindOf } from '#libs/domain';
import { waitFor } from '#libs/runtime';
import { QueueConfig } from './queue.config.js';
import {
  INSPECT_QUEUE,
  PROCESS_QUEUE,
  queueUnavailable,
  SCHEMA,
  TASK_QUEUE,
  type TaskJob,
} from './queues.js';
import { withinTime } from './within-time.js';

const ENQUEUE_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 10_000;
const NO_ANSWER = 'Redis does not answer';
/** Authentication errors, after which another attempt fails too: https://redis.io/docs/latest/commands/auth/ */
const REFUSED = /^(WRONGPASS|NOAUTH|NOPERM|ERR (AUTH|invalid password))/;

const FIND_TABLES = statement<object>(
  'jobs_find_tables',
  `select 1 where to_regclass('${SCHEMA}.job') is not null`,
);

/** A job to enqueue. */
export interface NewJob {
  readonly received: AssetReceived;
  /** 1 or greater; the queue starts lower numbers first. */
  readonly priority: number;
}

/** Enqueues jobs for the workers. */
@Injectable()
export class QueueService implements OnModuleInit {
  constructor(
    private readonly config: QueueConfig,
    @InjectQueue(PROCESS_QUEUE) private readonly queue: Queue<AssetReceived>,
    @InjectQueue(INSPECT_QUEUE) private readonly inspections: Queue<AssetReceived>,
    @InjectQueue(TASK_QUEUE) private readonly tasks: Queue<TaskJob>,
    private readonly database: Database,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(QueueService.name);
    // Without a listener BullMQ prints the whole error, including the connection options.
    for (const each of [queue, inspections, tasks]) {
      each.on('error', (err) => this.logger.warn({ err, queue: each.name }, 'queue error'));
    }
  }

  /**
   * Waits for the queue's server, and checks that the tables exist: without them a worker would retry its query in a
   * loop.
   * @throws Error with a message of one sentence
   */
  async onModuleInit(): Promise<void> {
    if (this.config.redisUrl !== undefined) {
      const refused = new Promise<never>((_, reject) => {
        this.queue.on('error', (error) => REFUSED.test(error.message) && reject(error));
      });
      refused.catch(() => undefined);
      const ready = () => Promise.race([this.queue.waitUntilReady(), refused]);
      const attempt = () => withinTime(ready(), CONNECT_TIMEOUT_MS, failWith(NO_ANSWER));
      await waitFor('Redis', attempt, (error) => error instanceof Error && error.message === NO_ANSWER);
      return;
    }
    const rows = await waitFor(
      'PostgreSQL',
      () => this.database.query(FIND_TABLES, []),
      (error) => kindOf(error) === 'unavailable',
    );
    if (rows.length === 0)
      throw new Error(`The database has no queue tables (schema ${SCHEMA}): run the migrations.`);
  }

  /**
   * Enqueues jobs, all or none. A job with the asset, generation and attempt of a queued job is ignored. A finished job
   * is deleted, so that its id does not block a later one.
   * @param delayMs time in milliseconds before workers may start the jobs
   * @throws StowageError unavailable QUEUE_UNAVAILABLE
   */
  async enqueue(jobs: readonly NewJob[], delayMs = 0): Promise<void> {
    if (jobs.length > 0) await answered(this.queue.addBulk(jobs.map((job) => entryOf(job, delayMs))));
  }

  /**
   * Enqueues an inspection job, for a file that needs a reader and that other files must not wait for. The caller still
   * holds the processing job, so that the job is in one of the queues at any time.
   * @throws StowageError unavailable QUEUE_UNAVAILABLE
   */
  async enqueueInspection(job: NewJob): Promise<void> {
    await answered(this.inspections.addBulk([entryOf(job, 0)]));
  }

  /**
   * Enqueues the next attempt of a run of a task. A repeat while the job is queued or running is ignored.
   * @param attempt number of workers that have begun the run
   * @throws StowageError unavailable QUEUE_UNAVAILABLE
   */
  async enqueueTaskRun(runId: bigint, attempt: number): Promise<void> {
    const opts = { jobId: `run-${runId}.${attempt}`, removeOnComplete: true, removeOnFail: true };
    await answered(this.tasks.add('run', { runId: String(runId) }, opts));
  }

  /**
   * Whether one of the queues has this job, in any state.
   * @throws StowageError unavailable QUEUE_UNAVAILABLE
   */
  async has(received: AssetReceived): Promise<boolean> {
    const id = jobIdOf(received);
    // A job moves from the first queue to the second, so this order cannot miss it.
    for (const queue of [this.queue, this.inspections]) {
      if ((await answered(queue.getJob(id))) !== undefined) return true;
    }
    return false;
  }
}

const entryOf = ({ received, priority }: NewJob, delay: number) => ({
  name: 'process',
  data: received,
  opts: { jobId: jobIdOf(received), delay, priority, removeOnComplete: true, removeOnFail: true },
});

const jobIdOf = ({ assetId, generation, attempt }: AssetReceived) => `${assetId}.${generation}.${attempt}`;

async function answered<T>(answer: Promise<T>): Promise<T> {
  try {
    return await withinTime(answer, ENQUEUE_TIMEOUT_MS, failWith('no answer from the queue'));
  } catch (error) {
    throw queueUnavailable(error);
  }
}

const failWith = (message: string) => (): never => {
  throw new Error(message);
};
