import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { StowageError, unavailable } from '#libs/domain';
import type { Task, TaskContext, TaskLimits } from '#libs/runtime';
import { until } from '../../../libs/testing/src/until.js';
import { withLocalClockOff } from '../../support/local-clock.js';
import { numbers, removeNumbers, taskClass, TaskWorkers } from './task-workers.js';

const NAME = 'albums.remove-empty';
/** Has no tick of its own during a test. */
const YEARLY = { cron: '0 0 1 1 *' };
const DAILY = { seconds: 86_400 };
const SECOND = 1000;
const T1 = new Date(Date.now() + 60 * SECOND);
const T2 = new Date(T1.getTime() + SECOND);

/** A task whose first step goes on until the test ends it, or its signal aborts. */
function heldTask() {
  const started = Promise.withResolvers<TaskContext>();
  const end = Promise.withResolvers<void>();
  const call: Task = function* (context) {
    const examine = async () => {
      started.resolve(context);
      context.signal.addEventListener('abort', () => end.reject(context.signal.reason as Error));
      await end.promise;
      return null;
    };
    yield { cursor: '1', examine };
  };
  return { call, started: started.promise, end: end.resolve };
}

/** Lets the test decide when timers are over. */
const useFakeTimers = () =>
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate', 'clearImmediate'] });

describe('runs of tasks (real: PostgreSQL)', () => {
  let workers: TaskWorkers;
  beforeAll(async () => {
    workers = await TaskWorkers.create();
  });
  afterEach(async () => {
    jest.useRealTimers();
    jest.restoreAllMocks();
    await workers.clear();
  });
  afterAll(() => workers[Symbol.asyncDispose]());

  /** A worker with one task, whose runs the test executes. */
  const start = (call: Task, schedule = YEARLY as typeof YEARLY | typeof DAILY, limits?: TaskLimits) =>
    workers.start('takes no jobs', [taskClass(NAME, schedule, call, limits)]);

  describe('at a tick', () => {
    it('are created and begun again after the clock of the database was a year ahead', async () => {
      const worker = await start(removeNumbers(numbers(1)));
      await worker.pool.query(`update tasks set covered_until = now() + interval '1 year'`);
      await worker.tick(NAME, T1);
      const { id } = await worker.row();
      // The tick has its run.
      await worker.tick(NAME, T1);
      await worker.pool.query(`update task_runs set state = 'RUNNING', next_at = now() + interval '1 year'`);
      await worker.queue.obliterate({ force: true });
      await worker.schedule.resume();
      expect(await worker.jobs()).toEqual([`run-${id}.0`]);
      await worker.execute(id);
      expect(await worker.row()).toMatchObject({ id, state: 'SUCCEEDED', changed: 1n });
      await worker.tick(NAME, T1);
      expect(await worker.rows()).toHaveLength(1);
    });

    it('are created once by all workers', async () => {
      const task = removeNumbers(numbers(1));
      const cluster = await Promise.all([start(task), start(task), start(task), start(task)]);
      await Promise.all(cluster.map((worker) => worker.tick(NAME, T1)));
      const { id } = await cluster[0].row();
      expect(await cluster[0].jobs()).toEqual([`run-${id}.0`]);
      await cluster[0].execute(id);
      // A slow worker comes to the tick when its run has finished.
      for (const worker of cluster) expect(await worker.tick(NAME, T1)).toBe(true);
      expect(await cluster[0].rows()).toMatchObject([{ tick: T1, state: 'SUCCEEDED', changed: 1n }]);
      await Promise.all(cluster.map((worker) => worker.tick(NAME, T2)));
      expect(await cluster[0].rows()).toMatchObject([{ tick: T1 }, { tick: T2 }]);
    });

    it('are skipped while a run is unfinished', async () => {
      const held = heldTask();
      const [worker, other] = [await start(held.call), await start(held.call)];
      await worker.tick(NAME, T1);
      const { id } = await worker.row();
      const executing = worker.execute(id);
      await held.started;
      expect(await other.tick(NAME, T2)).toBe(true);
      held.end();
      await executing;
      for (const each of [worker, other]) await each.tick(NAME, T2);
      expect(await worker.rows()).toMatchObject([{ tick: T1, state: 'SUCCEEDED' }]);
    });

    it('are created when the database is available again', async () => {
      const worker = await start(removeNumbers(numbers(1)));
      // The yearly tick comes in a second, by the clock that the worker sees.
      const newYear = new Date(Date.UTC(new Date().getUTCFullYear() + 1, 0, 1));
      const aheadMs = newYear.getTime() - Date.now() - SECOND;
      jest.spyOn(worker.clock, 'now').mockImplementation(() => new Date(Date.now() + aheadMs));
      const cover = jest.spyOn(worker.runs, 'cover').mockRejectedValueOnce(unavailable('DOWN', 'down'));
      await worker.schedule.onApplicationBootstrap();
      await until('the tick has a run', async () => ((await worker.rows()).length > 0 ? true : null));
      expect(cover).toHaveBeenCalledTimes(2);
      expect(await worker.rows()).toMatchObject([{ tick: newYear }]);
    });

    it('leave no row for an interval without anything to do', async () => {
      const worker = await start(removeNumbers(new Set()), DAILY);
      expect(await worker.tick(NAME, T1)).toBe(true);
      expect(await worker.rows()).toEqual([]);
      expect(await worker.jobs()).toEqual([]);
    });

    it('are executed at an interval if the dry run has a step', async () => {
      const calls: boolean[] = [];
      const left = numbers(2);
      const call: Task = (context) => {
        calls.push(context.isDryRun);
        return removeNumbers(left)(context);
      };
      const worker = await start(call, DAILY);
      await worker.tick(NAME, T1);
      await worker.execute((await worker.row()).id);
      expect(await worker.row()).toMatchObject({ state: 'SUCCEEDED', changed: 2n });
      expect(calls).toEqual([true, false]);
    });

    it('leave no row after a run of an interval without changes, unless an operator asked for it', async () => {
      const worker = await start(function* () {
        yield { examine: () => null };
      }, DAILY);
      await worker.tick(NAME, T1);
      await worker.execute((await worker.row()).id);
      expect(await worker.rows()).toEqual([]);
      await worker.tick(NAME, T2);
      const requested = await worker.service.request(NAME, false);
      expect((await worker.row()).id).toBe(requested.id);
      await worker.execute(requested.id);
      expect(await worker.row()).toMatchObject({ state: 'SUCCEEDED', examined: 1n, tick: null });
    });

    it('keep the row of an interval whose steps failed', async () => {
      const worker = await start(function* () {
        yield { examine: () => Promise.reject(new Error('bug')) };
      }, DAILY);
      await worker.tick(NAME, T1);
      await worker.execute((await worker.row()).id);
      expect(await worker.row()).toMatchObject({ state: 'SUCCEEDED', failed: 1n });
    });
  });

  describe('of an operator', () => {
    it('are created once while they are unfinished', async () => {
      const worker = await start(removeNumbers(numbers(3)));
      const { id } = await worker.service.request(NAME, false);
      expect((await worker.service.request(NAME, false)).id).toBe(id);
      expect(await worker.jobs()).toEqual([`run-${id}.0`]);
      await worker.execute(id);
      expect(await worker.row()).toMatchObject({ state: 'SUCCEEDED', changed: 3n, tick: null });
      expect((await worker.service.request(NAME, false)).id).not.toBe(id);
    });

    it('are refused for unknown tasks', async () => {
      const worker = await start(removeNumbers(numbers(3)));
      await expect(worker.service.request('albums.other', false)).rejects.toMatchObject({
        kind: 'not-found',
        reason: 'TASK_NOT_FOUND',
      });
    });

    it('are kept while the queue is down', async () => {
      const worker = await start(removeNumbers(numbers(3)));
      const add = jest.spyOn(worker.queue, 'add').mockRejectedValue(new Error('down'));
      const { id } = await worker.service.request(NAME, false);
      await worker.schedule.resume();
      expect(add).toHaveBeenCalledTimes(2);
      add.mockRestore();
      await worker.schedule.resume();
      expect(await worker.jobs()).toEqual([`run-${id}.0`]);
    });

    it('can be dry runs beside a real run', async () => {
      const left = numbers(3);
      const worker = await start(removeNumbers(left));
      await worker.tick(NAME, T1);
      const dry = await worker.service.request(NAME, true);
      await worker.execute(dry.id);
      expect(left.size).toBe(3);
      const actions = [1, 2, 3].map((n) => ({ action: 'remove', subject: `number ${n}` }));
      expect(await worker.rows()).toMatchObject([
        { dryRun: false, state: 'QUEUED' },
        { dryRun: true, state: 'SUCCEEDED', changed: 3n, actions },
      ]);
      await worker.execute((await worker.rows())[0]!.id);
      expect((await worker.rows())[0]).toMatchObject({ state: 'SUCCEEDED', changed: 3n, actions });
      expect(left.size).toBe(0);
    });
  });

  describe('whose worker ends', () => {
    it('are left to others while its lease is valid, and continue from the cursor', async () => {
      const worker = await start(removeNumbers(numbers(5)));
      const { id } = await worker.service.request(NAME, false);
      await worker.runs.begin(id, [NAME]);
      await worker.pool.query(`update task_runs set cursor = '3', examined = 3`);
      expect(await worker.execute(id)).toBeNull();
      expect(await worker.row()).toMatchObject({ state: 'RUNNING', attempt: 1 });
      await worker.makeDue();
      await worker.execute(id);
      expect(await worker.row()).toMatchObject({ state: 'SUCCEEDED', attempt: 2, examined: 5n, changed: 2n });
    });

    it('fail after three crashes without progress', async () => {
      const worker = await start(removeNumbers(numbers(5)));
      const { id } = await worker.service.request(NAME, false);
      for (let crash = 0; crash < 3; crash++) {
        expect((await worker.runs.begin(id, [NAME]))?.crashes).toBe(crash);
        await worker.makeDue();
      }
      await worker.execute(id);
      const error = '3 workers ended during this run.';
      expect(await worker.row()).toMatchObject({ state: 'FAILED', error, changed: 0n });
      expect(await worker.outcomes(NAME)).toEqual({ crashed: 1 });
    });

    it.each([
      ['a cursor', { cursor: '7', changed: 0 }],
      ['a change', { cursor: null, changed: 1 }],
    ])('do not fail after crashes with progress: %s', async (_, progress) => {
      const worker = await start(removeNumbers(new Set()));
      const { id } = await worker.service.request(NAME, false);
      for (let crash = 0; crash < 3; crash++) {
        await worker.runs.begin(id, [NAME]);
        await worker.makeDue();
      }
      const run = (await worker.runs.begin(id, [NAME]))!;
      const same = { cursor: null, changed: 0, examined: 5, failed: 1, actions: [] };
      expect(await worker.runs.record(run, same)).toBe(true);
      expect((await worker.row()).crashes).toBe(3);
      expect(await worker.runs.record(run, { ...same, ...progress })).toBe(true);
      expect((await worker.row()).crashes).toBe(0);
      await worker.makeDue();
      await worker.execute(id);
      expect(await worker.row()).toMatchObject({ state: 'SUCCEEDED', crashes: 1 });
    });

    it('are released at once by a worker that stops, which is no crash', async () => {
      const held = heldTask();
      const worker = await start(held.call);
      const { id } = await worker.service.request(NAME, false);
      const stopping = new AbortController();
      const executing = worker.execute(id, stopping.signal);
      await held.started;
      stopping.abort();
      expect(await executing).toMatchObject({ id, attempt: 1 });
      expect(await worker.row()).toMatchObject({ state: 'QUEUED', crashes: 0, attempt: 1, cursor: null });
      const other = await start(removeNumbers(numbers(2)));
      await other.execute(id);
      expect(await other.row()).toMatchObject({ state: 'SUCCEEDED', crashes: 0, changed: 2n });
    });

    it('continue a minute after a dependency was unavailable, however often', async () => {
      let isDown = true;
      const worker = await start(function* () {
        if (isDown) throw unavailable('STORAGE_UNAVAILABLE', 'down');
        yield {};
      });
      const { id } = await worker.service.request(NAME, false);
      for (let outage = 1; outage <= 5; outage++) {
        const { rows } = await worker.pool.query<{ now: Date }>('select clock_timestamp() as now');
        expect(await worker.execute(id)).toBeNull();
        const row = await worker.row();
        expect(row).toMatchObject({ state: 'QUEUED', crashes: 0, attempt: outage });
        expect(row.nextAt.getTime() - rows[0]!.now.getTime()).toBeGreaterThanOrEqual(59 * SECOND);
        expect(await worker.execute(id)).toBeNull();
        expect((await worker.row()).attempt).toBe(outage);
        await worker.makeDue();
      }
      isDown = false;
      await worker.execute(id);
      expect(await worker.row()).toMatchObject({ state: 'SUCCEEDED', examined: 1n });
      expect(await worker.outcomes(NAME)).toEqual({ unavailable: 5, succeeded: 1 });
    });

    it('fail with the message and the reason of an expected error', async () => {
      const worker = await start(function* () {
        yield* [];
        throw new StowageError('conflict', 'NOT_OURS', 'The bucket belongs to others.');
      });
      const { id } = await worker.service.request(NAME, false);
      await worker.execute(id);
      const error = 'The bucket belongs to others. (NOT_OURS)';
      expect(await worker.row()).toMatchObject({ state: 'FAILED', error });
    });

    it('fail after an error of the task, without its message', async () => {
      const worker = await start(function* () {
        yield* [];
        throw new TypeError('secret');
      });
      const { id } = await worker.service.request(NAME, false);
      await worker.execute(id);
      expect(await worker.row()).toMatchObject({ state: 'FAILED', error: 'See the log of the worker.' });
      expect(await worker.outcomes(NAME)).toEqual({ failed: 1 });
    });
  });

  describe('that another worker has taken over', () => {
    it('abort, and write no more', async () => {
      const held = heldTask();
      const worker = await start(held.call);
      const { id } = await worker.service.request(NAME, false);
      useFakeTimers();
      const executing = worker.execute(id);
      const { signal } = await held.started;
      // Another worker begins the run.
      await worker.pool.query(`update task_runs set attempt = attempt + 1, cursor = '9'`);
      await jest.advanceTimersByTimeAsync(2 * SECOND);
      jest.useRealTimers();
      await until('the task is aborted', () => (signal.aborted ? true : null));
      expect(signal.reason).toMatchObject({ reason: 'LEASE_LOST' });
      expect(await executing).toBeNull();
      expect(await worker.row()).toMatchObject({ state: 'RUNNING', attempt: 2, cursor: '9' });
      expect(await worker.outcomes(NAME)).toEqual({ aborted: 1 });
    });

    it('refuse every statement of the worker before', async () => {
      const worker = await start(removeNumbers(new Set()));
      const { id } = await worker.service.request(NAME, false);
      const before = (await worker.runs.begin(id, [NAME]))!;
      await worker.makeDue();
      await worker.runs.begin(id, [NAME]);
      const row = await worker.row();
      const progress = { cursor: '1', examined: 1, changed: 1, failed: 1, actions: [] };
      const { runs } = worker;
      expect(await runs.record(before, progress)).toBe(false);
      expect(await runs.allow(before, 1, 1)).toBe(false);
      expect(await runs.recount(before)).toBe(false);
      expect(await runs.release(before, progress, 0)).toBe(false);
      expect(await runs.discard(before)).toBe(false);
      await runs.wait(before, progress);
      await runs.end(before, progress, 'SUCCEEDED');
      expect(await worker.row()).toEqual(row);
    });

    it('abort before their lease ends while the database is unavailable', async () => {
      const held = heldTask();
      const worker = await start(held.call);
      const { id } = await worker.service.request(NAME, false);
      useFakeTimers();
      const executing = worker.execute(id);
      const { signal } = await held.started;
      const record = jest.spyOn(worker.runs, 'record').mockRejectedValue(unavailable('DOWN', 'down'));
      await jest.advanceTimersByTimeAsync(24 * SECOND);
      expect(record.mock.calls.length).toBeGreaterThan(5);
      expect(signal.aborted).toBe(false);
      await jest.advanceTimersByTimeAsync(SECOND);
      expect(signal.reason).toMatchObject({ reason: 'LEASE_LOST' });
      jest.useRealTimers();
      expect(await executing).toMatchObject({ id });
      expect(await worker.row()).toMatchObject({ state: 'QUEUED', crashes: 0 });
    });

    it('keep their lease while it is renewed', async () => {
      const held = heldTask();
      const worker = await start(held.call);
      const { id } = await worker.service.request(NAME, false);
      useFakeTimers();
      const executing = worker.execute(id);
      const { signal } = await held.started;
      const record = jest.spyOn(worker.runs, 'record').mockResolvedValue(true);
      await jest.advanceTimersByTimeAsync(120 * SECOND);
      expect(record.mock.calls.length).toBeGreaterThan(50);
      expect(signal.aborted).toBe(false);
      jest.useRealTimers();
      held.end();
      expect(await executing).toBeNull();
      expect(await worker.row()).toMatchObject({ state: 'SUCCEEDED', cursor: '1' });
    });
  });

  it('do not run in a worker whose clock is beyond the limit', async () => {
    const worker = await start(removeNumbers(numbers(1)));
    const { id } = await worker.service.request(NAME, false);
    await withLocalClockOff(2 * 3_600 * SECOND, worker.clock, async () => {
      expect(await worker.execute(id)).toBeNull();
      expect(await worker.tick(NAME, T1)).toBe(false);
    });
    expect(await worker.row()).toMatchObject({ state: 'QUEUED', attempt: 0 });
    await worker.execute(id);
    expect(await worker.row()).toMatchObject({ state: 'SUCCEEDED' });
  });

  it('are left to the workers that have their task', async () => {
    const worker = await start(removeNumbers(numbers(1)));
    const other = await workers.start('takes no jobs', [
      taskClass('albums.other', YEARLY, removeNumbers(numbers(1))),
    ]);
    const { id } = await worker.service.request(NAME, false);
    await worker.queue.drain();
    expect(await other.execute(id)).toBeNull();
    await other.schedule.resume();
    expect(await worker.jobs()).toEqual([]);
    expect(await worker.row()).toMatchObject({ state: 'QUEUED', attempt: 0 });
    await worker.schedule.resume();
    expect(await worker.jobs()).toEqual([`run-${id}.0`]);
  });

  it('fail the start of a worker with an invalid schedule', async () => {
    await expect(
      workers.start('takes no jobs', [taskClass(NAME, { cron: 'at night' }, removeNumbers(new Set()))]),
    ).rejects.toThrow(
      `The schedule of the task ${NAME} is invalid or has no next tick: "at night" in the time zone UTC.`,
    );
  });
});
