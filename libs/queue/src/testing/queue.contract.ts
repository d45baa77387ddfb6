import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { getQueueToken } from '@nestjs/bullmq';
import { Test, type TestingModule } from '@nestjs/testing';
import { type Job, type Queue, Worker, type WorkerOptions } from 'bullmq';
import { LoggerModule } from 'nestjs-pino';
import { Registry } from 'prom-client';
import { Database, DatabaseConfig, DatabaseModule } from '#libs/database';
import { type AssetReceived, unavailable } from '#libs/domain';
import { ConfigurationModule, configured, HealthModule, MetricsModule } from '#libs/runtime';
import { connectionOf } from '../connection.js';
import { QueueModule } from '../queue.module.js';
import { QueueMetrics } from '../queue-metrics.js';
import type { QueueConfig } from '../queue.config.js';
import { QueueService } from '../queue.service.js';
import { queueBackend } from '../bullmq-patches/index.js';
import { INSPECT_QUEUE, PROCESS_QUEUE } from '../queues.js';
import { endJob } from '../end-job.js';
import { CrashTracker } from '../crash-tracker.js';
import { CRASHES_PER_ATTEMPT, workerOptions } from '../worker-options.js';

export interface QueueSetup {
  readonly database: DatabaseConfig;
  readonly queue: QueueConfig;
  /** A connection to the database that stays available. The queue may use the same database over another connection. */
  readonly databaseUrl: string;
  /** Outages by name. Each function makes the queue's backend unavailable and returns a function that restores it. */
  readonly outages: Readonly<Record<string, () => Promise<() => Promise<void>>>>;
  close(): Promise<void>;
}

/** Ends a test that hangs; far longer than a busy machine needs. */
const LIMIT_MS = 300_000;
const LOCK_SECONDS = 15;
/** For tests in which locks expire. */
const SHORT_LOCK_SECONDS = 1;
const HOUR_MS = 3_600_000;

type Handler = (job: Job<AssetReceived>) => Promise<void> | void;

const newJob = (): AssetReceived => ({
  assetId: randomUUID(),
  generation: '1',
  attempt: 1,
  requestId: 'contract',
});
const idOf = ({ assetId, generation, attempt }: AssetReceived) => `${assetId}.${generation}.${attempt}`;
const nothing = () => undefined;
/** Handlers for `then`: true if the promise resolves, null if it rejects. */
const trueIfResolved = [() => true as const, () => null] as const;

async function eventually<T>(what: string, check: () => Promise<T | null> | T | null): Promise<T> {
  for (const end = Date.now() + LIMIT_MS; ; await delay(20)) {
    const result = await check();
    if (result !== null) return result;
    if (Date.now() > end) throw new Error(`Timed out: ${what}`);
  }
}

/** Starts a module with the queue's producers, metrics and health check, as in one process. */
async function startModule({ database, queue, databaseUrl }: QueueSetup): Promise<TestingModule> {
  const available = configured(DatabaseConfig, { url: databaseUrl, poolSize: 2 });
  const module = await Test.createTestingModule({
    imports: [
      LoggerModule.forRoot({ pinoHttp: { level: 'silent' }, forRoutes: [] }),
      MetricsModule,
      HealthModule.forRoot(),
      ConfigurationModule.forRoot({ database, queue }),
      DatabaseModule,
      QueueModule,
    ],
  })
    .overrideProvider(Database)
    .useFactory({ factory: () => new Database(available) })
    .compile();
  return module.init();
}

/** Contract suite for queues on any backend. Call it at the top level of a spec file. */
export function queueContract(name: string, setup: () => Promise<QueueSetup>): void {
  describe(`queue contract: ${name}`, () => {
    let given: QueueSetup;
    let module: TestingModule;
    let jobs: QueueService;
    let queue: Queue<AssetReceived>;
    const workers: { close(force?: boolean): Promise<void> }[] = [];
    let restore: () => Promise<void> = () => Promise.resolve();

    beforeAll(async () => {
      given = await setup();
      module = await startModule(given);
      jobs = module.get(QueueService);
      queue = module.get(getQueueToken(PROCESS_QUEUE));
    });
    afterEach(async () => {
      await restore();
      await Promise.all(workers.splice(0).map((worker) => worker.close(true)));
      const clean = () => queue.obliterate({ force: true }).then(...trueIfResolved);
      await eventually('the queue is emptied', clean);
    });
    afterAll(async () => {
      await module.close();
      await given.close();
    });

    /** Starts a worker with the service's options, apart from `changes`. */
    function work(handle: Handler, changes: Partial<WorkerOptions> = {}, lockSeconds = LOCK_SECONDS) {
      const tracker = new CrashTracker(queue);
      const process = (job: Job<AssetReceived>, token?: string) =>
        tracker.run(job, async () => {
          try {
            await handle(job);
          } catch (error) {
            await endJob(job, token, error, (lost) => tracker.reportLostLock(lost));
          }
        });
      const limits = workerOptions({ concurrency: 4, lockSeconds });
      const connection = connectionOf(given.database, given.queue);
      const worker = new Worker(PROCESS_QUEUE, process, { connection, ...limits, ...changes }, queueBackend);
      worker.on('error', nothing);
      tracker.watch(worker);
      void worker.run();
      workers.push(worker);
      return worker;
    }
    /** Starts a worker that takes the job and never renews its lock, like a crashed process. */
    async function crash(job: AssetReceived): Promise<void> {
      const taken = Promise.withResolvers<void>();
      const take: Handler = async ({ id }) => {
        if (id === idOf(job)) taken.resolve();
        await new Promise(nothing);
      };
      work(take, { concurrency: 1, skipLockRenewal: true }, SHORT_LOCK_SECONDS);
      await taken.promise;
    }

    const counts = async () => {
      // On Redis, a job of a crashed worker waits in the list without priorities.
      const {
        prioritized = 0,
        waiting = 0,
        ...others
      } = await queue.getJobCounts('prioritized', 'waiting', 'active', 'delayed', 'completed', 'failed');
      return { waiting: waiting + prioritized, ...others };
    };
    const NONE = { waiting: 0, active: 0, delayed: 0, completed: 0, failed: 0 };
    const isEmpty = async () => Object.values(await counts()).every((count) => count === 0);
    const empty = () =>
      eventually('the queue is empty', async () => ((await isEmpty().catch(() => false)) ? true : null));

    it('starts jobs with a lower priority number first', async () => {
      const given = [3, 1, 2].map((priority) => ({ received: newJob(), priority }));
      await jobs.enqueue(given);
      const taken: string[] = [];
      const take: Handler = ({ data }) => Promise.resolve(void taken.push(data.assetId));
      work(take, { concurrency: 1 });
      await eventually('all jobs are taken', () => Promise.resolve(taken.length === 3 ? true : null));
      expect(taken).toEqual([1, 2, 0].map((index) => given[index]!.received.assetId));
    });

    it('finds a job in either queue until the job is finished', async () => {
      const [waiting, inspected, ended] = [newJob(), newJob(), newJob()];
      await jobs.enqueue([{ received: waiting, priority: 1 }]);
      await jobs.enqueueInspection({ received: inspected, priority: 1 });
      const found = await Promise.all([waiting, inspected, ended].map((job) => jobs.has(job)));
      expect(found).toEqual([true, true, false]);
      await module.get<Queue>(getQueueToken(INSPECT_QUEUE)).obliterate({ force: true });
    });

    it('keeps one job for repeated calls, and deletes the job when it is finished', async () => {
      const job = newJob();
      await Promise.all(Array.from({ length: 5 }, () => jobs.enqueue([{ received: job, priority: 1 }])));
      expect(await counts()).toEqual({ ...NONE, waiting: 1 });
      const seen: AssetReceived[] = [];
      const gate = Promise.withResolvers<void>();
      work(async ({ data }) => {
        seen.push(data);
        await gate.promise;
      });
      await eventually('the job is running', () => seen.length || null);
      await jobs.enqueue([{ received: job, priority: 1 }]);
      expect(await counts()).toEqual({ ...NONE, active: 1 });
      gate.resolve();
      await empty();
      expect(seen).toEqual([job]);
      expect(await queue.getJob(idOf(job))).toBeUndefined();

      await jobs.enqueue([{ received: job, priority: 1 }]);
      await empty();
      expect(seen).toEqual([job, job]);
    });

    it('deletes failed jobs', async () => {
      let times = 0;
      work(() => {
        times += 1;
        throw new TypeError('a bug');
      });
      const job = newJob();
      for (const round of [1, 2]) {
        await jobs.enqueue([{ received: job, priority: 1 }]);
        await empty();
        expect(times).toBe(round);
      }
    });

    it('starts a delayed job after its delay and not earlier', async () => {
      const started = new Set<string>();
      const worker = work(({ data }) => void started.add(data.assetId));
      const [late, soon, now] = [newJob(), newJob(), newJob()];
      await jobs.enqueue([{ received: late, priority: 1 }], HOUR_MS);
      await jobs.enqueue([{ received: soon, priority: 1 }], 200);
      await jobs.enqueue([{ received: now, priority: 1 }]);
      const isOneLeft = async () => {
        const left = Object.entries(await counts()).filter(([, count]) => count > 0);
        return left.length === 1 && started.size === 2 ? true : null;
      };
      await eventually('the other jobs are finished', isOneLeft);
      expect(started).toEqual(new Set([soon.assetId, now.assetId]));
      expect(await counts()).toEqual({ ...NONE, delayed: 1 });
      // After a forced close, the worker would keep a timer until the late job is due.
      await worker.close();
    });

    it('retries a job that waits for a dependency without using up an attempt', async () => {
      const attempts: number[] = [];
      work(({ attemptsMade, stalledCounter }) => {
        attempts.push(attemptsMade + stalledCounter);
        if (attempts.length < 3) throw unavailable('DOWN', 'A dependency is down.');
      });
      await jobs.enqueue([{ received: newJob(), priority: 1 }]);
      await empty();
      expect(attempts).toEqual([0, 0, 0]);
    });

    it('gives the job of a crashed worker to another worker, and counts the crashes', async () => {
      const job = newJob();
      await jobs.enqueue([{ received: job, priority: 1 }]);
      for (let crashes = 0; crashes < CRASHES_PER_ATTEMPT; crashes++) await crash(job);
      let seen: number | undefined;
      // Only the first run counts: on a slow machine a lock this short can expire during a run.
      work(({ stalledCounter }) => void (seen ??= stalledCounter), {}, SHORT_LOCK_SECONDS);
      await empty();
      expect(seen).toBe(CRASHES_PER_ATTEMPT);
    });

    it.each([
      ['gives up its job', true],
      ['continues its job', false],
    ])('counts no crash for a worker that lost the queue past its lock and %s', async (_, givesUp) => {
      const job = newJob();
      let held: Job | undefined;
      let lost = Promise.withResolvers<void>();
      const handle: Handler = async (taken) => {
        held = taken;
        await lost.promise;
        if (givesUp) throw unavailable('DOWN', 'A dependency is down.');
        await new Promise(nothing);
      };
      for (let count = 0; count <= CRASHES_PER_ATTEMPT; count++)
        work(handle, { concurrency: 1 }, SHORT_LOCK_SECONDS);
      await jobs.enqueue([{ received: job, priority: 1 }]);
      const stalled = (times: number) =>
        eventually(`it was stalled ${times} times`, () =>
          (held?.stalledCounter ?? -1) >= times ? true : null,
        );
      const crashes = () => new CrashTracker(queue).countCrashes(held!, SHORT_LOCK_SECONDS * 1_000);
      await stalled(0);
      for (let times = 1; times <= CRASHES_PER_ATTEMPT; times++) {
        restore = await given.outages.refusing!();
        lost.resolve();
        await delay(SHORT_LOCK_SECONDS * 2_000);
        lost = Promise.withResolvers();
        await restore();
        // A lock that no other worker took can still be renewed late.
        await (givesUp ? stalled(times) : delay(SHORT_LOCK_SECONDS * 2_000));
      }
      await eventually('live workers are not counted', async () =>
        (await crashes()) < CRASHES_PER_ATTEMPT ? true : null,
      );

      // Real crashes are counted, immediately and later.
      await Promise.all(workers.splice(0).map((worker) => worker.close(true)));
      const before = held!.stalledCounter;
      for (let count = 0; count < CRASHES_PER_ATTEMPT; count++) await crash(job);
      const gate = Promise.withResolvers<void>();
      const hold: Handler = async (taken) => {
        held = taken;
        await gate.promise;
      };
      work(hold, {}, SHORT_LOCK_SECONDS);
      await stalled(before + CRASHES_PER_ATTEMPT);
      expect(await crashes()).toBeGreaterThanOrEqual(CRASHES_PER_ATTEMPT);
      gate.resolve();
      await empty();
    });

    it('runs as many jobs at a time as configured', async () => {
      const gate = Promise.withResolvers<void>();
      let [running, most] = [0, 0];
      work(async () => {
        most = Math.max(most, (running += 1));
        await gate.promise;
        running -= 1;
      });
      await Promise.all(Array.from({ length: 6 }, () => jobs.enqueue([{ received: newJob(), priority: 1 }])));
      await eventually('four jobs are running', () => (running === 4 ? true : null));
      expect(await counts()).toEqual({ ...NONE, waiting: 2, active: 4 });
      gate.resolve();
      await empty();
      expect(most).toBe(4);
    });

    it('requeues unfinished jobs of a stopping worker without using up an attempt', async () => {
      const stopping = Promise.withResolvers<void>();
      const started = Promise.withResolvers<void>();
      const worker = work(async () => {
        started.resolve();
        await stopping.promise;
        throw unavailable('SHUTTING_DOWN', 'This worker is stopping.');
      });
      await jobs.enqueue([{ received: newJob(), priority: 1 }]);
      await started.promise;
      stopping.resolve();
      await worker.close();
      expect(await counts()).toEqual({ ...NONE, delayed: 1 });
      let used: number | undefined;
      work(({ attemptsMade, stalledCounter }) => void (used = attemptsMade + stalledCounter));
      await empty();
      expect(used).toBe(0);
    });

    it('exports the number of jobs and the age of the oldest waiting job', async () => {
      const lines = async (): Promise<Record<string, number>> => {
        const text = await module.get(Registry).metrics();
        const found = text.matchAll(
          /^stowage_queue_(?:jobs\{queue="process-asset",state="(\w+)"|(oldest)_waiting_seconds\{queue="process-asset").*\} (\S+)$/gm,
        );
        return Object.fromEntries<number>(
          [...found].map(([, state, oldest, value]) => [state ?? oldest ?? '', Number(value)]),
        );
      };
      const oldest = newJob();
      const hourAgo = Date.now() - HOUR_MS;
      await queue.add('process', oldest, { jobId: idOf(oldest), timestamp: hourAgo, priority: 2 });
      await Promise.all([
        jobs.enqueue([{ received: newJob(), priority: 1 }]),
        jobs.enqueue([{ received: newJob(), priority: 1 }], HOUR_MS),
      ]);
      const allCounted = async () => {
        const found = await lines();
        // A queue that does not answer in time has no metrics.
        return found.waiting === 2 && found.oldest !== undefined ? found : null;
      };
      const shown = await eventually('all jobs are counted', allCounted);
      expect(shown).toEqual({ waiting: 2, active: 0, delayed: 1, oldest: expect.any(Number) });
      expect(shown.oldest).toBeGreaterThanOrEqual(3_600);
      await queue.remove(idOf(oldest));
      await eventually('the next job is the oldest', async () =>
        (await lines()).oldest! < 3_600 ? true : null,
      );
    });

    const check = () => {
      const tooLate = delay(2_000, 'down', { ref: false });
      const answer = module
        .get(QueueMetrics)
        .check()
        .then(
          () => 'up',
          () => 'down',
        );
      return Promise.race([answer, tooLate]);
    };
    const isUp = () =>
      eventually('the health check succeeds', async () => ((await check()) === 'up' ? true : null));

    it.each(['refusing', 'silent'])(
      'rejects new jobs while the backend is %s, loses no job, and recovers by itself',
      async (how) => {
        const seen = new Map<string, number>();
        const gate = Promise.withResolvers<void>();
        const [running, waiting, refused] = [newJob(), newJob(), newJob()];
        work(
          async ({ data: { assetId } }) => {
            seen.set(assetId, (seen.get(assetId) ?? 0) + 1);
            if (assetId === running.assetId) await gate.promise;
          },
          { concurrency: 1 },
          SHORT_LOCK_SECONDS,
        );
        await jobs.enqueue([{ received: running, priority: 1 }]);
        await eventually('the job is running', () => seen.get(running.assetId) ?? null);
        await jobs.enqueue([{ received: waiting, priority: 1 }]);
        await isUp();

        restore = await given.outages[how]!();
        const error = { kind: 'unavailable', reason: 'QUEUE_UNAVAILABLE' };
        for (let times = 0; times < 2; times++)
          await expect(jobs.enqueue([{ received: refused, priority: 1 }])).rejects.toMatchObject(error);
        expect(await check()).toBe('down');
        const isBlank = async () =>
          /^stowage_queue_\w+\{/m.test(await module.get(Registry).metrics()) ? null : true;
        await eventually('no metrics are exported', isBlank);
        gate.resolve();
        await restore();

        await eventually('the queue accepts jobs again', () =>
          jobs.enqueue([{ received: refused, priority: 1 }]).then(...trueIfResolved),
        );
        await empty();
        for (const { assetId } of [running, waiting, refused]) expect(seen.get(assetId)).toBeGreaterThan(0);
        await isUp();
      },
    );

    it.each(['refusing', 'silent'])(
      'closes while the backend is %s, and requeues running jobs',
      async (how) => {
        const other = await startModule(given);
        const job = newJob();
        const gate = Promise.withResolvers<void>();
        const started = Promise.withResolvers<void>();
        const stop: Handler = async () => {
          started.resolve();
          await gate.promise;
          throw unavailable('SHUTTING_DOWN', 'This worker is stopping.');
        };
        const worker = work(stop, {}, SHORT_LOCK_SECONDS);
        await jobs.enqueue([{ received: job, priority: 1 }]);
        await started.promise;
        const idle = work(nothing);
        await idle.waitUntilReady();

        restore = await given.outages[how]!();
        gate.resolve();
        await Promise.all([worker.close(), idle.close(), other.close()]);
        await restore();

        let used: number | undefined;
        work(({ attemptsMade }) => void (used = attemptsMade), {}, SHORT_LOCK_SECONDS);
        await eventually('another worker takes the job', () => used ?? null);
        await empty();
        expect(used).toBe(0);
      },
    );
  });
}
