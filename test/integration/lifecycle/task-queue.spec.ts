import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Task, TaskContext } from '#libs/runtime';
import { until } from '../../../libs/testing/src/until.js';
import { QUEUE_BACKENDS, type QueueBackend } from '../../support/redis.js';
import { numbers, removeNumbers, taskClass, type TaskWorker, TaskWorkers } from './task-workers.js';

const DIST = path.resolve(import.meta.dirname, '../../../dist');
const NAME = 'albums.remove-empty';
/** Has no tick of its own during a test. */
const YEARLY = { cron: '0 0 1 1 *' };
const T1 = new Date(Date.now() + 60_000);
const T2 = new Date(T1.getTime() + 1_000);

const finished = (worker: TaskWorker, count = 1) =>
  until('all runs are finished', async () => {
    const rows = await worker.rows();
    return rows.length === count && rows.every(({ finishedAt }) => finishedAt !== null) ? rows : null;
  });

describe.each(QUEUE_BACKENDS)('runs of tasks (real: PostgreSQL, queue on %s)', (_, startQueue) => {
  let queue: QueueBackend;
  let workers: TaskWorkers;
  beforeAll(async () => {
    queue = await startQueue();
    workers = await TaskWorkers.create(queue);
  });
  afterEach(() => workers.clear());
  afterAll(async () => {
    await workers[Symbol.asyncDispose]();
    await queue[Symbol.asyncDispose]();
  });

  const start = (call: Task) => workers.start('takes jobs', [taskClass(NAME, YEARLY, call)]);

  it('are executed once per tick', async () => {
    const calls: TaskContext[] = [];
    const left = numbers(100);
    const call: Task = (context) => {
      calls.push(context);
      return removeNumbers(left)(context);
    };
    const cluster = await Promise.all([start(call), start(call)]);
    await Promise.all(cluster.map((worker) => worker.tick(NAME, T1)));
    expect(await finished(cluster[0])).toMatchObject([{ state: 'SUCCEEDED', attempt: 1, changed: 100n }]);
    expect(calls).toHaveLength(1);
    for (const worker of cluster) await worker.tick(NAME, T2);
    await finished(cluster[0], 2);
    expect(calls).toHaveLength(2);
    expect(await cluster[0].jobs()).toEqual([]);
  });

  it('continue in another worker when theirs was killed', async () => {
    const file = path.join(import.meta.dirname, 'killed-worker.ts');
    const args = [DIST, workers.databaseUrl, workers.redisUrl ?? '', NAME, T1.toISOString()];
    const child = fork(file, args, { execArgv: [] });
    const exit = once(child, 'exit');
    expect(await Promise.race([once(child, 'message'), exit])).toEqual(['ticked', undefined]);
    const call: Task = function* ({ cursor }) {
      for (let n = Number(cursor) + 1; n <= 5; n++) yield { cursor: String(n) };
    };
    const worker = await start(call);
    // The tick has its run.
    await worker.tick(NAME, T1);
    await until('the progress is recorded', async () => ((await worker.row()).cursor === '2' ? true : null));
    child.kill('SIGKILL');
    await exit;
    await worker.makeDue();
    await worker.schedule.resume();
    expect(await finished(worker)).toMatchObject([
      { state: 'SUCCEEDED', tick: T1, attempt: 2, cursor: '5', examined: 5n },
    ]);
    await worker.tick(NAME, T1);
    expect(await worker.rows()).toHaveLength(1);
  });

  it('are enqueued again when their job is lost', async () => {
    const left = numbers(3);
    const idle = await workers.start('takes no jobs', [taskClass(NAME, YEARLY, removeNumbers(left))]);
    await idle.tick(NAME, T1);
    await idle.queue.obliterate({ force: true });
    expect(await idle.jobs()).toEqual([]);
    const worker = await start(removeNumbers(left));
    await finished(worker);
    expect(left.size).toBe(0);
  });

  it('begin in another worker when theirs was killed before it began them', async () => {
    const left = numbers(3);
    const idle = await workers.start('takes no jobs', [taskClass(NAME, YEARLY, removeNumbers(left))]);
    await idle.tick(NAME, T1);
    await idle.abandonJob();
    expect(await idle.jobs()).toEqual([]);
    // The queue ignores a job that it has, so only the end of its lock helps.
    await idle.schedule.resume();
    const worker = await start(removeNumbers(left));
    expect(await finished(worker)).toMatchObject([{ state: 'SUCCEEDED', attempt: 1 }]);
    await until('its job is removed', async () =>
      (await worker.queue.getActiveCount()) === 0 ? true : null,
    );
    expect(await worker.jobs()).toEqual([]);
  });

  it('have a job when their worker stops, and continue from the cursor', async () => {
    const started = Promise.withResolvers<void>();
    const isCleaned = Promise.withResolvers<void>();
    const stopping = await start(function* ({ signal }) {
      yield { cursor: '1' };
      const examine = async () => {
        started.resolve();
        await once(signal, 'abort');
        await new Promise((resolve) => setImmediate(resolve));
        isCleaned.resolve();
        throw signal.reason;
      };
      yield { cursor: '2', examine };
    });
    await stopping.tick(NAME, T1);
    await started.promise;
    await stopping.stop();
    // The shutdown has waited for the step.
    await isCleaned.promise;
    const idle = await workers.start('takes no jobs', []);
    const row = await idle.row();
    expect(row).toMatchObject({ state: 'QUEUED', cursor: '1', crashes: 0 });
    expect(await idle.jobs()).toEqual([`run-${row.id}.${row.attempt}`]);
    const worker = await start(function* ({ cursor }) {
      yield { cursor: `${cursor}, 2` };
    });
    expect(await finished(worker)).toMatchObject([{ state: 'SUCCEEDED', cursor: '1, 2', crashes: 0 }]);
  });

  it('of an operator begin at once', async () => {
    const left = numbers(3);
    const worker = await start(removeNumbers(left));
    await worker.service.request(NAME, true);
    await finished(worker);
    await worker.service.request(NAME, false);
    expect(await finished(worker, 2)).toMatchObject([{ dryRun: true, changed: 3n }, { dryRun: false }]);
    expect(left.size).toBe(0);
  });
});
