import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { LoggerModule } from 'nestjs-pino';
import { Registry } from 'prom-client';
import { Clock, Database, DatabaseConfig, DatabaseModule } from '#libs/database';
import { unavailable } from '#libs/domain';
import {
  ConfigurationModule,
  configured,
  MetricsModule,
  StowageTask,
  type Task,
  type TaskContext,
} from '#libs/runtime';
import { CronRuns } from '../../../libs/lifecycle/src/cron-runs.js';
import { TasksModule } from '../../../libs/lifecycle/src/lifecycle.module.js';
import { TaskSchedule } from '../../../libs/lifecycle/src/task-schedule.js';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';
import { until } from '../../../libs/testing/src/until.js';
import { withLocalClockOff } from '../../support/local-clock.js';

const DIST = path.resolve(import.meta.dirname, '../../../dist');
const SECOND = 1000;
const NAME = 'albums.remove-empty';

/** A time that is past, so that a run ends after it. */
const T1 = new Date(Date.now() - 10 * SECOND);
const T2 = new Date(T1.getTime() + SECOND);
const later = (ms: number) => new Date(Date.now() + ms);
const never = () => later(3_600 * SECOND);

/** Lets the test decide when intervals, or all timers, are over. */
function useFakeTimers(which: 'intervals' | 'all') {
  const real = ['nextTick', 'queueMicrotask', 'setImmediate', 'clearImmediate'] as const;
  const others = ['Date', 'hrtime', 'performance', 'setTimeout', 'clearTimeout'] as const;
  jest.useFakeTimers({ doNotFake: which === 'all' ? [...real] : [...real, ...others] });
}

/** A run that goes on until the test ends it, or its signal aborts. */
function heldRun() {
  const started = Promise.withResolvers<TaskContext>();
  const end = Promise.withResolvers<void>();
  const call: Task = (context) => {
    started.resolve(context);
    context.signal.addEventListener('abort', () => end.reject(context.signal.reason as Error));
    return end.promise;
  };
  return { call, started: started.promise, end: end.resolve };
}

describe('tasks (real: PostgreSQL)', () => {
  let database: TestDatabase;
  const workers: Awaited<ReturnType<typeof compile>>[] = [];
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterEach(async () => {
    jest.useRealTimers();
    await Promise.all(workers.splice(0).map((module) => module.close()));
    const client = await compile();
    await client.get(Database).pool.query('truncate task_ticks');
    await client.close();
  });
  afterAll(() => database.drop());

  const compile = (...providers: (new () => object)[]) =>
    Test.createTestingModule({
      imports: [
        LoggerModule.forRoot({ pinoHttp: { level: 'silent' }, forRoutes: [] }),
        ConfigurationModule.forRoot({
          database: configured(DatabaseConfig, { url: database.url, poolSize: 2 }),
        }),
        MetricsModule,
        DatabaseModule,
        TasksModule,
      ],
      providers,
    }).compile();

  /** A process of the cluster with these tasks, as far as the test needs one. */
  async function startWorker(...providers: (new () => object)[]) {
    const module = await compile(...providers);
    workers.push(module);
    await module.init();
    const runs = module.get(CronRuns, { strict: false });
    return {
      module,
      schedule: module.get(TaskSchedule, { strict: false }),
      pool: module.get(Database).pool,
      close: () => {
        workers.splice(workers.indexOf(module), 1);
        return module.close();
      },
      /** Attends to a tick of a task, whose other runs take place in the other workers. */
      attend: (call: Task, tick: Date | null, signal = new AbortController().signal) =>
        runs.attend({ name: NAME, call }, tick, signal),
      follow: (call: Task, next: (after: Date) => Date, signal: AbortSignal) =>
        runs.follow({ name: NAME, call }, next, signal),
      outcomes: async (task = NAME) => {
        const metric = await module.get(Registry).getSingleMetric('stowage_task_runs_total')!.get();
        const own = metric.values.filter(({ labels }) => labels.task === task);
        return Object.fromEntries(own.map(({ labels, value }) => [String(labels.outcome), value]));
      },
      row: async () => {
        const { rows } = await module
          .get(Database)
          .pool.query<{ tick: Date; leased: Date; attempts: number }>(
            'select covered_until as tick, leased_until as leased, attempts from task_ticks where name = $1',
            [NAME],
          );
        return rows[0]!;
      },
      /** Keeps the lease of the present run, however slow the test is. */
      holdLease: () =>
        module.get(Database).pool.query(`update task_ticks set leased_until = now() + interval '1 hour'`),
      /** Lets the lease of the present run end. */
      expireLease: () =>
        module.get(Database).pool.query('update task_ticks set leased_until = clock_timestamp()'),
    };
  }

  const succeed = () => jest.fn<Task>().mockResolvedValue(null);

  describe('with a cron schedule', () => {
    it('run once per tick in the cluster', async () => {
      const cluster = await Promise.all(Array.from({ length: 4 }, () => startWorker()));
      const task = succeed();
      await Promise.all(cluster.map((worker) => worker.attend(task, T1)));
      expect(task).toHaveBeenCalledTimes(1);
      // A slow worker comes to the tick when its run has finished.
      for (const worker of cluster) expect(await worker.attend(task, T1)).toBeNull();
      expect(task).toHaveBeenCalledTimes(1);
      const tick = later(SECOND);
      await Promise.all(cluster.map((worker) => worker.attend(task, tick)));
      expect(task).toHaveBeenCalledTimes(2);
    });

    it('run at each tick while all workers follow the schedule', async () => {
      const cluster = await Promise.all([startWorker(), startWorker(), startWorker()]);
      const ticks: number[] = [];
      const task: Task = async () => ticks.push((await cluster[0].row()).tick.getTime());
      const everyQuarter = (after: Date) => new Date(Math.floor(after.getTime() / 250 + 1) * 250);
      const stop = new AbortController();
      const loops = cluster.map((worker) => worker.follow(task, everyQuarter, stop.signal));
      await until('six ticks have passed', () => (ticks.length >= 6 ? true : null));
      stop.abort();
      await Promise.all(loops);
      expect(new Set(ticks).size).toBe(ticks.length);
      expect(ticks.every((tick) => tick % 250 === 0)).toBe(true);
      expect(ticks).toEqual([...ticks].sort((a, b) => a - b));
    });

    it('skip a tick that comes during a run', async () => {
      const [a, b] = [await startWorker(), await startWorker()];
      const [held, other] = [heldRun(), succeed()];
      useFakeTimers('all');
      const running = a.attend(held.call, T1);
      await held.started;
      await a.holdLease();
      expect(await b.attend(other, T2)).toEqual({ tick: T1, at: (await a.row()).leased });
      held.end();
      expect(await running).toBeNull();
      for (const worker of [a, b]) expect(await worker.attend(other, T2)).toBeNull();
      expect(other).not.toHaveBeenCalled();
      expect(await a.outcomes()).toEqual({ succeeded: 1 });
    });

    it('run again in another worker when theirs was killed', async () => {
      const file = path.join(import.meta.dirname, 'killed-worker.ts');
      const child = fork(file, [DIST, database.url, NAME, T1.toISOString()], { execArgv: [] });
      const exit = once(child, 'exit');
      expect(await Promise.race([once(child, 'message'), exit])).toEqual(['running', undefined]);
      child.kill('SIGKILL');
      await exit;
      const worker = await startWorker();
      await worker.holdLease();
      const task = succeed();
      // The worker may still be alive until its lease ends.
      expect(await worker.attend(task, T1)).toMatchObject({ tick: T1 });
      expect(task).not.toHaveBeenCalled();
      await worker.expireLease();
      expect(await worker.attend(task, T1)).toBeNull();
      expect(task).toHaveBeenCalledTimes(1);
      expect(await worker.attend(task, T1)).toBeNull();
      expect(task).toHaveBeenCalledTimes(1);
    });

    it('run again when the lease of a worker ends that died before this one started', async () => {
      const worker = await startWorker();
      await worker.pool.query(
        `insert into task_ticks values ($1, $2, gen_random_uuid(), clock_timestamp() + interval '1 second', 1)`,
        [NAME, T1],
      );
      const task = succeed();
      const stop = new AbortController();
      const following = worker.follow(task, never, stop.signal);
      await until('the run is repeated', async () => ((await worker.row()).leased === null ? true : null));
      stop.abort();
      await following;
      expect(task).toHaveBeenCalledTimes(1);
      expect(await worker.outcomes()).toEqual({ succeeded: 1 });
    });

    it('wait for the next tick when their runs killed three workers', async () => {
      const worker = await startWorker();
      await worker.pool.query(
        `insert into task_ticks values ($1, $2, gen_random_uuid(), clock_timestamp(), 3)`,
        [NAME, T1],
      );
      const task = succeed();
      expect(await worker.attend(task, T1)).toBeNull();
      expect(task).not.toHaveBeenCalled();
      expect(await worker.outcomes()).toEqual({ crashed: 1 });
      await worker.attend(task, later(SECOND));
      expect(task).toHaveBeenCalledTimes(1);
    });

    it('run again a minute after a dependency was not available, however often', async () => {
      const worker = await startWorker();
      const task = jest.fn<Task>().mockRejectedValue(unavailable('STORAGE_UNAVAILABLE', 'down'));
      for (let n = 1; n <= 5; n++) {
        const minuteLater = later(59 * SECOND);
        const pending = await worker.attend(task, T1);
        expect(pending?.tick).toEqual(T1);
        expect(pending!.at.getTime()).toBeGreaterThan(minuteLater.getTime());
        await worker.holdLease();
        await worker.attend(task, T1);
        expect(task).toHaveBeenCalledTimes(n);
        await worker.expireLease();
      }
      task.mockResolvedValue(null);
      expect(await worker.attend(task, T1)).toBeNull();
      expect(await worker.outcomes()).toEqual({ unavailable: 5, succeeded: 1 });
    });

    it('wait for the next tick after any other failure', async () => {
      const worker = await startWorker();
      const task = jest.fn<Task>().mockImplementation(() => {
        throw new TypeError('bug');
      });
      expect(await worker.attend(task, T1)).toBeNull();
      expect(await worker.attend(task, T1)).toBeNull();
      expect(await worker.outcomes()).toEqual({ failed: 1 });
      await worker.attend(task, later(SECOND));
      expect(await worker.outcomes()).toEqual({ failed: 2 });
    });

    it('are aborted when another worker has taken over', async () => {
      const worker = await startWorker();
      const held = heldRun();
      useFakeTimers('all');
      const running = worker.attend(held.call, T1);
      const { signal } = await held.started;
      await worker.expireLease();
      const { leased } = await worker.row();
      jest.advanceTimersByTime(10 * SECOND);
      // Waits without timers, which the test has replaced.
      while ((await worker.row()).leased <= leased);
      expect(signal.aborted).toBe(false);
      await worker.pool.query('update task_ticks set run_id = gen_random_uuid()');
      jest.advanceTimersByTime(10 * SECOND);
      expect(await running).toMatchObject({ tick: T1 });
      expect(signal.reason).toMatchObject({ reason: 'LEASE_LOST' });
      expect(await worker.outcomes()).toEqual({ aborted: 1 });
    });

    it('are aborted when their lease ends while the database is not available', async () => {
      const worker = await startWorker();
      const held = heldRun();
      useFakeTimers('all');
      const running = worker.attend(held.call, T1);
      const { signal } = await held.started;
      await worker.pool.query('alter table task_ticks rename to gone');
      jest.advanceTimersByTime(29 * SECOND);
      expect(signal.aborted).toBe(false);
      jest.advanceTimersByTime(SECOND);
      expect(signal.reason).toMatchObject({ reason: 'LEASE_LOST' });
      jest.useRealTimers();
      expect(await running).toMatchObject({ tick: T1 });
      await worker.pool.query('alter table gone rename to task_ticks');
    });

    it('do not run in a worker whose clock is beyond the limit', async () => {
      const worker = await startWorker();
      const task = succeed();
      const clock = worker.module.get(Clock);
      const pending = await withLocalClockOff(2 * 3_600 * SECOND, clock, () => worker.attend(task, T1));
      expect(task).not.toHaveBeenCalled();
      expect(pending?.tick).toEqual(T1);
      await worker.attend(task, T1);
      expect(task).toHaveBeenCalledTimes(1);
    });

    it('run when the database is available again', async () => {
      const worker = await startWorker();
      const task = succeed();
      await worker.pool.query('alter table task_ticks rename to gone');
      expect(await worker.attend(task, T1)).toMatchObject({ tick: T1 });
      await worker.pool.query('alter table gone rename to task_ticks');
      expect(await worker.attend(task, T1)).toBeNull();
      expect(task).toHaveBeenCalledTimes(1);
    });

    it('are aborted by a shutdown, which waits for them and leaves the tick to another worker', async () => {
      const cleanup = Promise.withResolvers<void>();
      const started = Promise.withResolvers<AbortSignal>();
      class Albums {
        isCleaned = false;

        @StowageTask(NAME, { cron: '* * * * * *' })
        async removeEmpty({ signal }: TaskContext): Promise<void> {
          started.resolve(signal);
          await once(signal, 'abort');
          await cleanup.promise;
          this.isCleaned = true;
        }
      }
      const [stopping, other] = [await startWorker(Albums), await startWorker()];
      const signal = await started.promise;
      expect((await other.row()).attempts).toBe(1);
      const closed = stopping.close();
      await until('the task is aborted', () => (signal.aborted ? true : null));
      cleanup.resolve();
      await closed;
      expect(stopping.module.get(Albums).isCleaned).toBe(true);
      const { tick, attempts } = await other.row();
      expect(attempts).toBe(0);
      const task = succeed();
      expect(await other.attend(task, tick)).toBeNull();
      expect(task).toHaveBeenCalledTimes(1);
    });
  });

  describe('with an interval', () => {
    class Sweeps {
      work: Task = () => Promise.resolve();
      calls = 0;

      @StowageTask('sweep', { seconds: 1 })
      sweep(context: TaskContext): Promise<unknown> {
        this.calls++;
        return this.work(context);
      }
    }

    it('run at the interval in every worker', async () => {
      const cluster = [await startWorker(Sweeps), await startWorker(Sweeps)];
      for (const { module } of cluster) {
        await until('the task has run twice', () => (module.get(Sweeps).calls >= 2 ? true : null));
      }
    });

    it('do not overlap in a worker, and go on after a failure', async () => {
      useFakeTimers('intervals');
      const { module, schedule, outcomes } = await startWorker(Sweeps);
      const sweeps = module.get(Sweeps);
      const end = Promise.withResolvers<void>();
      sweeps.work = () => end.promise;
      const first = schedule.run('sweep');
      jest.advanceTimersByTime(3 * SECOND);
      await schedule.run('sweep');
      expect(sweeps.calls).toBe(1);
      end.reject(new Error('bug'));
      await first;
      expect(await outcomes('sweep')).toEqual({ failed: 1 });
      sweeps.work = () => Promise.resolve();
      jest.advanceTimersByTime(SECOND);
      await until('the task has run again', async () =>
        (await outcomes('sweep')).succeeded === 1 ? true : null,
      );
    });

    it('are aborted by a shutdown, which waits for them', async () => {
      const { module, schedule, close } = await startWorker(Sweeps);
      const sweeps = module.get(Sweeps);
      let isCleaned = false;
      sweeps.work = async ({ signal }) => {
        await once(signal, 'abort');
        await delay(1);
        isCleaned = true;
      };
      const running = schedule.run('sweep');
      await close();
      expect(isCleaned).toBe(true);
      await running;
      const { calls } = sweeps;
      await schedule.run('sweep');
      expect(sweeps.calls).toBe(calls);
    });
  });

  it('fail the start if they are invalid', async () => {
    class Albums {
      @StowageTask(NAME, { cron: 'at night' })
      removeEmpty(): Promise<void> {
        return Promise.resolve();
      }
    }
    await expect(startWorker(Albums)).rejects.toThrow(
      `The schedule of the task ${NAME} is invalid or has no next tick: "at night" in the time zone UTC.`,
    );
  });
});
