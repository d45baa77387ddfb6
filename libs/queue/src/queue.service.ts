import { InjectQueue } from '@nestjs/bullmq';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { PinoLogger } from 'nestjs-pino';
import { Database, type Statement } from '#libs/database';
import { type AssetReceived, kindOf, unavailable } from '#libs/domain';
import { waitFor } from '#libs/runtime';
import { QUEUE_OPTIONS, type QueueOptions } from './queue.options.js';
import { INSPECT_QUEUE, PROCESS_QUEUE, SCHEMA } from './queues.js';

const ENQUEUE_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 10_000;
const NO_ANSWER = 'Redis does not answer';
/** https://redis.io/docs/latest/commands/auth/: no later attempt ends otherwise. */
const REFUSED = /^(WRONGPASS|NOAUTH|NOPERM|ERR (AUTH|invalid password))/;

const FIND_TABLES: Statement<object> = {
  name: 'jobs_find_tables',
  text: `select 1 where to_regclass('${SCHEMA}.job') is not null`,
};

export interface NewJob {
  readonly received: AssetReceived;
  /** From 1, which is taken first. */
  readonly priority: number;
}

/** Hands work to the workers. */
@Injectable()
export class QueueService implements OnModuleInit {
  constructor(
    @Inject(QUEUE_OPTIONS) private readonly options: QueueOptions,
    @InjectQueue(PROCESS_QUEUE) private readonly queue: Queue<AssetReceived>,
    @InjectQueue(INSPECT_QUEUE) private readonly inspections: Queue<AssetReceived>,
    private readonly database: Database,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(QueueService.name);
    // Without a listener BullMQ prints the whole error, connection and all.
    for (const each of [queue, inspections]) {
      each.on('error', (err) => this.logger.warn({ err, queue: each.name }, 'queue error'));
    }
  }

  /**
   * Waits for the queue's server. A worker on a database without the queue's tables would spin on errors.
   * @throws Error in one sentence
   */
  async onModuleInit(): Promise<void> {
    if (this.options.redisUrl !== undefined) {
      const refused = new Promise<never>((_, reject) => {
        this.queue.on('error', (error) => REFUSED.test(error.message) && reject(error));
      });
      refused.catch(() => undefined);
      const ready = () => Promise.race([this.queue.waitUntilReady(), refused]);
      const attempt = () => withinTime(ready(), CONNECT_TIMEOUT_MS, NO_ANSWER);
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
   * Enqueues once per asset, generation and attempt while such a job is there; a job that ended leaves nothing behind
   * that could swallow the next one. All of them, or none.
   * @param delayMs before they may be taken
   * @throws StowageError unavailable QUEUE_UNAVAILABLE
   */
  async enqueue(jobs: readonly NewJob[], delayMs = 0): Promise<void> {
    if (jobs.length > 0) await answered(this.queue.addBulk(jobs.map((job) => entryOf(job, delayMs))));
  }

  /**
   * Enqueues a job of a file that needs a reader, which other files must not wait for. The caller still holds the job that
   * found it out: at each moment one of the queues has it.
   * @throws StowageError unavailable QUEUE_UNAVAILABLE
   */
  async enqueueInspection(job: NewJob): Promise<void> {
    await answered(this.inspections.addBulk([entryOf(job, 0)]));
  }

  /**
   * Whether one of the queues has this job, in whatever state.
   * @throws StowageError unavailable QUEUE_UNAVAILABLE
   */
  async has(received: AssetReceived): Promise<boolean> {
    const id = jobIdOf(received);
    // In the order in which jobs move.
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
    return await withinTime(answer, ENQUEUE_TIMEOUT_MS, 'no answer from the queue');
  } catch (error) {
    throw unavailable('QUEUE_UNAVAILABLE', 'The work queue is not available. Try again later.', error);
  }
}

async function withinTime<T>(answer: Promise<T>, limitMs: number, message: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(message)), limitMs);
  });
  try {
    return await Promise.race([answer, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
