import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { PinoLogger } from 'nestjs-pino';
import { Registry } from 'prom-client';
import { unavailable } from '#libs/domain';
import { configured, type Task, type TaskContext, type TaskStep } from '#libs/runtime';
import { newProgress, type RunOptions, TaskRunner } from './task-runner.js';
import { TasksConfig } from './tasks.config.js';

const NAME = 'albums.remove-empty';
const NOW = new Date('2031-07-01T00:00:00Z');
const outage = () => unavailable('STORAGE_UNAVAILABLE', 'down');
const first = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

interface Options extends Partial<RunOptions> {
  readonly concurrency?: number;
  readonly actionsPerSecond?: number;
  readonly cursor?: string;
}

/** Runs a task here. */
function start(call: Task, { concurrency, actionsPerSecond = 1e6, cursor, ...options }: Options = {}) {
  const logger = { setContext: () => undefined, warn: () => undefined } as unknown as PinoLogger;
  const runner = new TaskRunner(configured(TasksConfig, { actionsPerSecond }), logger, new Registry());
  const progress = { ...newProgress(), cursor: cursor ?? null };
  const signal = new AbortController().signal;
  const run = { now: NOW, signal, isDryRun: false, ...options };
  return { progress, ended: runner.run({ name: NAME, call, concurrency }, run, progress) };
}

async function run(call: Task, options?: Options) {
  const { progress, ended } = start(call, options);
  return { ...(await ended), ...progress };
}

/** Steps over numbers, of which `perform` decides each. */
const over = (numbers: readonly number[], perform: (n: number) => unknown = () => true): Task =>
  function* () {
    for (const n of numbers) {
      yield {
        cursor: String(n),
        examine: () => ({
          action: 'remove',
          subject: `number ${n}`,
          perform: async () => (await perform(n)) as boolean | number,
        }),
      };
    }
  };

const failAt = (numbers: readonly number[], error: () => Error) => (n: number) => {
  if (numbers.includes(n)) throw error();
  return true;
};

describe('task runner', () => {
  it('gives the task its context, and performs the actions of its steps', async () => {
    const performed: number[] = [];
    let context: TaskContext | undefined;
    const call: Task = (given) => {
      context = given;
      return over(first(3), (n) => performed.push(n))(given);
    };
    expect(await run(call, { cursor: '7' })).toEqual({
      outcome: 'succeeded',
      cursor: '3',
      examined: 3,
      changed: 6,
      failed: 0,
      actions: first(3).map((n) => ({ action: 'remove', subject: `number ${n}` })),
    });
    expect(performed).toEqual([1, 2, 3]);
    expect(context).toMatchObject({ now: NOW, isDryRun: false, cursor: '7' });
  });

  it.each([
    ['null', () => null, 0],
    ['false', () => ({ action: 'a', subject: 's', perform: () => Promise.resolve(false) }), 0],
    ['0', () => ({ action: 'a', subject: 's', perform: () => Promise.resolve(0) }), 0],
    ['true', () => ({ action: 'a', subject: 's', perform: () => Promise.resolve(true) }), 1],
    ['7', () => ({ action: 'a', subject: 's', perform: () => Promise.resolve(7) }), 7],
  ])('counts the changes of a step that answers %s', async (_, examine, changed) => {
    const result = await run(function* () {
      yield { examined: 5, examine };
      yield {};
    });
    expect(result).toMatchObject({ outcome: 'succeeded', examined: 6, changed });
    expect(result.actions).toHaveLength(Math.min(changed, 1));
  });

  it('lists the actions of a dry run without performing them', async () => {
    const perform = jest.fn(() => true);
    const call = over(first(30), perform);
    const dry = await run(call, { isDryRun: true });
    expect(perform).not.toHaveBeenCalled();
    expect(await run(call)).toEqual(dry);
    expect(perform).toHaveBeenCalledTimes(30);
  });

  it('performs several steps at a time and keeps their order', async () => {
    const ends = new Map(first(20).map((n) => [n, Promise.withResolvers<boolean>()]));
    const begun: number[] = [];
    const { progress, ended } = start(
      over(first(20), (n) => {
        begun.push(n);
        return ends.get(n)!.promise;
      }),
    );
    await settled();
    expect(begun).toEqual(first(8));
    for (const n of [8, 3, 2, 7]) ends.get(n)!.resolve(true);
    await settled();
    expect(begun).toEqual(first(12));
    // The first step is not done, so no cursor is.
    expect(progress).toMatchObject({ cursor: null, examined: 4, changed: 4, actions: [] });
    ends.get(1)!.resolve(true);
    await settled();
    expect(progress).toMatchObject({ cursor: '3', examined: 5 });
    for (const { resolve } of ends.values()) resolve(true);
    await ended;
    expect(progress.cursor).toBe('20');
    expect(progress.actions.map(({ subject }) => subject)).toEqual(first(20).map((n) => `number ${n}`));
  });

  it('asks for a step when the one before is done, with a concurrency of 1', async () => {
    const log: string[] = [];
    await run(
      function* () {
        for (const n of first(3)) {
          log.push(`take ${n}`);
          yield {
            examine: async () => {
              await settled();
              log.push(`do ${n}`);
              return null;
            },
          };
        }
      },
      { concurrency: 1 },
    );
    expect(log).toEqual(['take 1', 'do 1', 'take 2', 'do 2', 'take 3', 'do 3']);
  });

  it('takes a limited number of steps while an earlier one is in progress', async () => {
    const slow = Promise.withResolvers<boolean>();
    let taken = 0;
    const call: Task = function* () {
      for (const n of first(3_000)) {
        taken = n;
        yield { cursor: String(n), examine: () => (n === 1 ? slow.promise.then(() => null) : null) };
      }
    };
    const { progress, ended } = start(call);
    await until(() => taken >= 1_000);
    for (let turn = 0; turn < 100; turn++) await settled();
    expect(taken).toBe(1_000);
    slow.resolve(true);
    expect(await ended).toEqual({ outcome: 'succeeded' });
    expect(progress).toMatchObject({ cursor: '3000', examined: 3_000 });
  });

  it('counts steps that fail, and goes on', async () => {
    const bug = () => new Error('bug');
    const result = await run(over(first(50), failAt(first(40), bug)));
    expect(result).toMatchObject({
      outcome: 'succeeded',
      examined: 50,
      failed: 40,
      changed: 10,
      cursor: '50',
    });
  });

  it('goes on after isolated outages', async () => {
    const numbers = first(200).filter((n) => n % 10 !== 0);
    const result = await run(over(first(200), failAt(numbers, outage)), { concurrency: 1 });
    expect(result).toMatchObject({ outcome: 'succeeded', examined: 200, failed: 180, cursor: '200' });
  });

  it.each([1, 8])('ends after 20 outages in a row, before them: %i at a time', async (concurrency) => {
    const failing = first(1_000).slice(30);
    const perform = jest.fn(failAt([10, ...failing], outage));
    const result = await run(over(first(1_000), perform), { concurrency });
    expect(result).toMatchObject({
      outcome: 'unavailable',
      cursor: '30',
      examined: 30,
      failed: 1,
      changed: 29,
    });
    expect(perform.mock.calls.length).toBeLessThan(50 + concurrency);
  });

  it('goes back before the outages when the task itself fails by one', async () => {
    const call: Task = function* (context) {
      yield* over(first(6), failAt([4, 5, 6], outage))(context) as Iterable<TaskStep>;
      throw outage();
    };
    const result = await run(call, { concurrency: 1 });
    expect(result).toMatchObject({ outcome: 'unavailable', cursor: '3', examined: 3, failed: 0 });
  });

  it('does not go on after a step that was not done', async () => {
    const stop = new AbortController();
    const call = over(first(100), async (n) => {
      if (n === 5) stop.abort();
      if (n < 5) return true;
      await settled();
      throw new Error('aborted');
    });
    const result = await run(call, { signal: stop.signal });
    expect(result).toMatchObject({ outcome: 'aborted', cursor: '4', examined: 4, failed: 0 });
    expect(await run(over(first(100)), { signal: stop.signal })).toMatchObject({
      outcome: 'aborted',
      examined: 0,
    });
  });

  it('waits for the steps in progress when it is aborted', async () => {
    const stop = new AbortController();
    const end = Promise.withResolvers<boolean>();
    const { progress, ended } = start(
      over(first(100), (n) => {
        if (n === 8) stop.abort();
        return end.promise;
      }),
      { signal: stop.signal },
    );
    const isEnded = jest.fn();
    void ended.then(isEnded);
    await settled();
    expect(isEnded).not.toHaveBeenCalled();
    end.resolve(true);
    expect(await ended).toEqual({ outcome: 'aborted' });
    expect(progress).toMatchObject({ cursor: '8', examined: 8, changed: 8 });
  });

  it.each([
    ['succeeds', {}, () => true, 'succeeded'],
    ['exceeds its limit', { allowed: 3 }, () => true, 'exceeded'],
    ['ends by an outage', {}, failAt(first(100), outage), 'unavailable'],
  ] as const)('closes the task when the run %s', async (_, options, perform, outcome) => {
    const closed = jest.fn();
    const call: Task = async function* (context) {
      try {
        yield* over(first(100), perform)(context);
      } finally {
        await settled();
        closed();
      }
    };
    expect((await run(call, options)).outcome).toBe(outcome);
    expect(closed).toHaveBeenCalledTimes(1);
  });

  it('makes no more changes than are allowed', async () => {
    const performed: number[] = [];
    const call = over(first(100), (n) => performed.push(n) > 0);
    const result = await run(call, { allowed: 13 });
    expect(result).toMatchObject({ outcome: 'exceeded', changed: 13, cursor: '13' });
    expect(performed).toEqual(first(13));
    expect(await run(over(first(13)), { allowed: 13 })).toMatchObject({ outcome: 'succeeded', changed: 13 });
    expect(await run(over(first(99)), { allowed: 13, isDryRun: true })).toMatchObject({ changed: 99 });
  });

  it('reports an error of the task after its steps are done', async () => {
    const error = new Error('bug');
    const call: Task = async function* (context) {
      yield* over(first(3))(context);
      throw error;
    };
    expect(await run(call)).toMatchObject({ outcome: 'failed', error, cursor: '3', changed: 3 });
    const early: Task = () => {
      throw error;
    };
    expect(await run(early)).toMatchObject({ outcome: 'failed', error });
  });

  it('rejects a cursor that a row cannot hold', async () => {
    const cursors = (length: number): Task =>
      function* () {
        yield { cursor: 'c'.repeat(length) };
      };
    expect(await run(cursors(2_048))).toMatchObject({ outcome: 'succeeded', examined: 1 });
    const result = await run(cursors(2_049));
    expect(result).toMatchObject({ outcome: 'failed', cursor: null });
    expect(String(result.error)).toMatch(`A cursor of the task ${NAME} has more than 2048 characters.`);
  });

  it('records the first 100 actions, in a form that the database accepts', async () => {
    const result = await run(over(first(500)));
    expect(result.changed).toBe(500);
    expect(result.actions.map(({ subject }) => subject)).toEqual(first(100).map((n) => `number ${n}`));
    const odd = await run(function* () {
      const perform = () => Promise.resolve(true);
      yield { examine: () => ({ action: 'a\0b', subject: 'x'.repeat(5_000), detail: '\ud83d', perform }) };
    });
    expect(odd.actions).toEqual([{ action: 'a\ufffdb', subject: 'x'.repeat(1_200), detail: '\ufffd' }]);
  });

  describe('by the clock of the test', () => {
    beforeEach(() => {
      jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
    });
    afterEach(() => {
      jest.useRealTimers();
    });

    it('keeps the pace of its steps', async () => {
      let taken = 0;
      const call: Task = function* () {
        for (const n of first(4)) {
          taken = n;
          yield { paceMs: n * 1_000 };
        }
      };
      const { ended } = start(call);
      await jest.advanceTimersByTimeAsync(999);
      expect(taken).toBe(1);
      await jest.advanceTimersByTimeAsync(1);
      expect(taken).toBe(2);
      await jest.advanceTimersByTimeAsync(1_999);
      expect(taken).toBe(2);
      await jest.advanceTimersByTimeAsync(1 + 3_000 + 4_000);
      expect(await ended).toEqual({ outcome: 'succeeded' });
    });

    it('limits the changes per second', async () => {
      const performed: number[] = [];
      const call = over(first(25), (n) => performed.push(n) > 0);
      const { ended } = start(call, { actionsPerSecond: 10 });
      await jest.advanceTimersByTimeAsync(0);
      expect(performed).toHaveLength(1);
      await jest.advanceTimersByTimeAsync(1_000);
      expect(performed).toHaveLength(11);
      await jest.advanceTimersByTimeAsync(1_400);
      expect(performed).toHaveLength(25);
      expect(await ended).toEqual({ outcome: 'succeeded' });
    });

    it('waits longer after an action with many changes', async () => {
      let performed = 0;
      const call: Task = function* () {
        for (const n of first(2)) {
          const perform = () => Promise.resolve((performed = n));
          yield { examine: () => ({ action: 'a', subject: 's', changes: 1_000_000, perform }) };
        }
      };
      const { ended } = start(call, { actionsPerSecond: 10 });
      await jest.advanceTimersByTimeAsync(99_999_000);
      expect(performed).toBe(1);
      await jest.advanceTimersByTimeAsync(1_000);
      expect(performed).toBe(2);
      await ended;
    });

    it('ends a wait when it is aborted', async () => {
      const stop = new AbortController();
      const { progress, ended } = start(over(first(3)), { actionsPerSecond: 1, signal: stop.signal });
      await jest.advanceTimersByTimeAsync(0);
      stop.abort();
      expect(await ended).toEqual({ outcome: 'aborted' });
      expect(progress).toMatchObject({ cursor: '1', changed: 1 });
      expect(jest.getTimerCount()).toBe(0);
    });

    it('lists a dry run at once', async () => {
      const { progress, ended } = start(over(first(50)), { actionsPerSecond: 1, isDryRun: true });
      expect(await ended).toEqual({ outcome: 'succeeded' });
      expect(progress.changed).toBe(50);
    });
  });
});

/** Resolves when all work is done that waits for nothing else. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

async function until(check: () => boolean): Promise<void> {
  while (!check()) await settled();
}
