import { getQueueToken } from '@nestjs/bullmq';
import { Test } from '@nestjs/testing';
import { type Queue, Worker } from 'bullmq';
import { LoggerModule } from 'nestjs-pino';
import { Registry } from 'prom-client';
import { Clock, Database, DatabaseConfig, DatabaseModule, type TaskRun } from '#libs/database';
import { DeclaredTasks, TaskRunsService, TasksConfig } from '#libs/lifecycle';
import { QueueConfig, TASK_QUEUE, type TaskJob } from '#libs/queue';
import {
  ConfigurationModule,
  configured,
  MetricsModule,
  StowageTask,
  type Task,
  type TaskContext,
  type TaskLimits,
  type TaskSchedule as Schedule,
} from '#libs/runtime';
import { TaskJobsModule } from '../../../libs/lifecycle/src/jobs/index.js';
import { TaskSchedule } from '../../../libs/lifecycle/src/jobs/task-schedule.js';
import { TasksModule } from '../../../libs/lifecycle/src/lifecycle.module.js';
import { TaskExecutionService } from '../../../libs/lifecycle/src/task-execution.service.js';
import { TaskRunsRepository } from '../../../libs/lifecycle/src/task-runs.repository.js';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';
import type { QueueBackend } from '../../support/redis.js';

/** A class with one task. */
export function taskClass(name: string, schedule: Schedule, call: Task, limits: TaskLimits = {}) {
  class Albums {
    @StowageTask(name, schedule, limits)
    run(context: TaskContext) {
      return call(context);
    }
  }
  return Albums;
}

/** Whether a worker takes jobs from the queue, or the test itself executes runs. */
type Mode = 'takes jobs' | 'takes no jobs';

/** Workers of one database and one queue that have only the tasks of a test. */
export class TaskWorkers implements AsyncDisposable {
  static async create(queue?: QueueBackend): Promise<TaskWorkers> {
    return new TaskWorkers(await createTestDatabase(), queue?.url);
  }

  private readonly workers = new Set<TaskWorker>();

  private constructor(
    private readonly database: TestDatabase,
    readonly redisUrl: string | undefined,
  ) {}

  get databaseUrl(): string {
    return this.database.url;
  }

  async start(mode: Mode, tasks: readonly (new () => object)[], config: Partial<TasksConfig> = {}) {
    const module = await Test.createTestingModule({
      imports: [
        LoggerModule.forRoot({ pinoHttp: { level: 'silent' }, forRoutes: [] }),
        ConfigurationModule.forRoot({
          database: configured(DatabaseConfig, { url: this.database.url, poolSize: 4 }),
          queue: configured(QueueConfig, { redisUrl: this.redisUrl }),
          tasks: configured(TasksConfig, { actionsPerSecond: 1_000_000, ...config }),
        }),
        MetricsModule,
        DatabaseModule,
        mode === 'takes jobs' ? TaskJobsModule : TasksModule,
      ],
      providers: [...tasks, ...(mode === 'takes jobs' ? [] : [TaskSchedule])],
    }).compile();
    const worker = new TaskWorker(module, () => this.workers.delete(worker));
    this.workers.add(worker);
    await module.init();
    return worker;
  }

  /** Stops all workers and removes all runs, ticks and jobs. */
  async clear(): Promise<void> {
    await Promise.all([...this.workers].map((worker) => worker.stop()));
    const client = await this.start('takes no jobs', []);
    await client.queue.obliterate({ force: true });
    await client.pool.query('truncate tasks, task_runs');
    await client.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.workers].map((worker) => worker.stop()));
    await this.database.drop();
  }
}

type Module = Awaited<ReturnType<ReturnType<typeof Test.createTestingModule>['compile']>>;

export class TaskWorker {
  private readonly get = this.module.get.bind(this.module);
  readonly pool = this.get(Database).pool;
  readonly clock = this.get(Clock);
  readonly schedule = this.get(TaskSchedule, { strict: false });
  readonly service = this.get(TaskRunsService, { strict: false });
  readonly runs = this.get(TaskRunsRepository, { strict: false });
  readonly execution = this.get(TaskExecutionService, { strict: false });
  readonly queue = this.get<Queue<TaskJob>>(getQueueToken(TASK_QUEUE), { strict: false });

  constructor(
    private readonly module: Module,
    private readonly onStop: () => void,
  ) {}

  /** Stops the worker as a signal does. */
  async stop(): Promise<void> {
    this.onStop();
    await this.module.close();
  }

  tick(name: string, tick: Date): Promise<boolean> {
    return this.schedule.tick(this.get(DeclaredTasks, { strict: false }).find(name)!, tick);
  }

  execute(id: bigint, signal = new AbortController().signal) {
    return this.execution.execute(id, signal);
  }

  /** All runs, in the order of their requests. */
  async rows(): Promise<TaskRun[]> {
    return (await this.service.list(undefined, 100)).reverse();
  }

  /** The only run. */
  async row(): Promise<TaskRun> {
    const rows = await this.rows();
    if (rows.length !== 1) throw new Error(`there are ${rows.length} runs`);
    return rows[0]!;
  }

  /** Ids of the jobs that no worker has taken. */
  async jobs(): Promise<string[]> {
    const jobs = await this.queue.getJobs(['waiting', 'delayed', 'prioritized']);
    return jobs.map(({ id }) => id!).sort();
  }

  /** Takes a job from the queue and dies. */
  async abandonJob(): Promise<void> {
    const { connection } = this.queue.opts;
    const worker = new Worker(TASK_QUEUE, null, { connection, autorun: false, lockDuration: 1 });
    if ((await worker.getNextJob('dead')) === undefined) throw new Error('there is no job');
    await worker.close(true);
  }

  /** Ends the leases and delays of all runs. */
  async makeDue(): Promise<void> {
    await this.pool.query(`update task_runs set next_at = now() where state in ('QUEUED', 'RUNNING')`);
  }

  /** Numbers of runs by outcome. */
  async outcomes(name: string): Promise<Record<string, number>> {
    const metric = await this.get(Registry).getSingleMetric('stowage_task_runs_total')!.get();
    const own = metric.values.filter(({ labels }) => labels.task === name);
    return Object.fromEntries(own.map(({ labels, value }) => [String(labels.outcome), value]));
  }
}

/** A task that removes numbers in their order. */
export const removeNumbers = (left: Set<number>): Task =>
  function* ({ cursor }) {
    for (const n of [...left].filter((n) => n > Number(cursor))) {
      yield {
        cursor: String(n),
        examine: () => ({
          action: 'remove',
          subject: `number ${n}`,
          perform: () => Promise.resolve(left.delete(n)),
        }),
      };
    }
  };

/** The numbers from 1. */
export const numbers = (count: number) => new Set(Array.from({ length: count }, (_, index) => index + 1));
