import { InjectQueue } from '@nestjs/bullmq';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { PinoLogger } from 'nestjs-pino';
import { Database } from '#libs/database';
import { type AssetReceived, unavailable } from '#libs/domain';
import { JOBS_OPTIONS, type JobsOptions } from './jobs.options.js';
import { PROCESS_QUEUE, SCHEMA } from './queues.js';

const ENQUEUE_TIMEOUT_MS = 5_000;

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

  /** A worker on a database without the queue's tables would spin on errors. @throws Error in one sentence */
  async onModuleInit(): Promise<void> {
    if (this.options.redisUrl !== undefined) return;
    const { rows } = await this.database.pool.query(
      `select 1 where to_regclass('${SCHEMA}.job') is not null`,
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
