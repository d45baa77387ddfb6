import { InjectQueue } from '@nestjs/bullmq';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { PinoLogger } from 'nestjs-pino';
import { Database, type Statement } from '#libs/database';
import { type AssetReceived, kindOf, unavailable } from '#libs/domain';
import { waitFor } from '#libs/runtime';
import { JOBS_OPTIONS, type JobsOptions } from './jobs.options.js';
import { PROCESS_QUEUE, SCHEMA } from './queues.js';

const ENQUEUE_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 10_000;
const NO_ANSWER = 'Redis does not answer';
/** https://redis.io/docs/latest/commands/auth/: no later attempt ends otherwise. */
const REFUSED = /^(WRONGPASS|NOAUTH|NOPERM|ERR (AUTH|invalid password))/;

const FIND_TABLES: Statement<object> = {
  name: 'jobs_find_tables',
  text: `select 1 where to_regclass('${SCHEMA}.job') is not null`,
};

/** Hands work to the workers. */
@Injectable()
export class Jobs implements OnModuleInit {
  constructor(
    @Inject(JOBS_OPTIONS) private readonly options: JobsOptions,
    @InjectQueue(PROCESS_QUEUE) private readonly queue: Queue<AssetReceived>,
    private readonly database: Database,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(Jobs.name);
    // Without a listener BullMQ prints the whole error, connection and all.
    queue.on('error', (err) => this.logger.warn({ err }, 'queue trouble'));
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
    try {
      await withinTime(added, ENQUEUE_TIMEOUT_MS, 'no answer from the queue');
    } catch (error) {
      throw unavailable('QUEUE_UNAVAILABLE', 'The work queue is not available. Try again later.', error);
    }
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
