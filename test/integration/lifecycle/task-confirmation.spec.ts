import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Task } from '#libs/runtime';
import { numbers, removeNumbers, taskClass, TaskWorkers } from './task-workers.js';

const NAME = 'albums.remove-empty';
/** Has no tick of its own during a test. */
const YEARLY = { cron: '0 0 1 1 *' };
const CONFIRMED = { needsConfirmation: true };
const T1 = new Date(Date.now() + 60_000);
const T2 = new Date(T1.getTime() + 1_000);

describe('runs of tasks that need confirmation (real: PostgreSQL)', () => {
  let workers: TaskWorkers;
  beforeAll(async () => {
    workers = await TaskWorkers.create();
  });
  afterEach(() => workers.clear());
  afterAll(() => workers[Symbol.asyncDispose]());

  const withLimits = (
    call: Task,
    config: { confirmActions?: number; confirmPercent?: number } = { confirmActions: 1_000 },
  ) => workers.start('takes no jobs', [taskClass(NAME, YEARLY, call, CONFIRMED)], config);

  /** Removes some of the numbers; the others need nothing. */
  const removeSome = (left: Set<number>, kept: number): Task =>
    async function* (context) {
      yield* removeNumbers(left)(context);
      yield { examined: kept };
    };

  it.each([
    ['more changes than the configured number', 31, 10_000, { confirmActions: 30 }, 'WAITING'],
    ['as many changes as the configured number', 30, 10_000, { confirmActions: 30 }, 'SUCCEEDED'],
    ['more changes than the configured percentage', 51, 949, { confirmPercent: 5 }, 'WAITING'],
    ['as many changes as the configured percentage', 50, 950, { confirmPercent: 5 }, 'SUCCEEDED'],
    ['all of a few objects', 20, 0, { confirmPercent: 5 }, 'SUCCEEDED'],
  ])('wait or not: %s', async (_, count, kept, config, state) => {
    const left = numbers(count);
    const worker = await withLimits(removeSome(left, kept), config);
    const { id } = await worker.service.request(NAME, false);
    expect(await worker.execute(id)).toBeNull();
    const planned = BigInt(count);
    expect(await worker.row()).toMatchObject({ state, planned, changed: planned });
    expect(left.size).toBe(state === 'WAITING' ? count : 0);
  });

  it('make their changes when they are confirmed, once', async () => {
    const left = numbers(40);
    const worker = await withLimits(removeNumbers(left), { confirmActions: 30 });
    const { id } = await worker.service.request(NAME, false);
    await expect(worker.service.confirm(id)).rejects.toMatchObject({ reason: 'TASK_RUN_NOT_WAITING' });
    await worker.execute(id);
    expect(await worker.execute(id)).toBeNull();
    expect(left.size).toBe(40);
    expect(await worker.service.confirm(id)).toMatchObject({ id, state: 'QUEUED', allowed: 144n });
    expect(await worker.service.confirm(id)).toMatchObject({ id, state: 'QUEUED' });
    expect(await worker.jobs()).toContain(`run-${id}.1`);
    await worker.execute(id);
    expect(left.size).toBe(0);
    expect(await worker.row()).toMatchObject({ state: 'SUCCEEDED', planned: 40n, changed: 40n });
    expect(await worker.service.confirm(id)).toMatchObject({ id, state: 'SUCCEEDED' });
  });

  it('are cancelled by a later one that waits too', async () => {
    const worker = await withLimits(removeNumbers(numbers(40)), { confirmActions: 30 });
    await worker.tick(NAME, T1);
    const [first] = await worker.rows();
    await worker.execute(first!.id);
    await worker.tick(NAME, T2);
    const second = (await worker.rows())[1]!;
    // The later run has the only place of an unfinished run.
    await expect(worker.service.confirm(first!.id)).rejects.toMatchObject({
      kind: 'conflict',
      reason: 'TASK_RUN_UNFINISHED',
    });
    await worker.execute(second.id);
    expect(await worker.rows()).toMatchObject([
      { id: first!.id, state: 'CANCELLED' },
      { id: second.id, state: 'WAITING' },
    ]);
    await expect(worker.service.confirm(first!.id)).rejects.toMatchObject({
      reason: 'TASK_RUN_NOT_WAITING',
    });
    await expect(worker.service.confirm(second.id + 1n)).rejects.toMatchObject({
      reason: 'TASK_RUN_NOT_FOUND',
    });
  });

  it('are cancelled by a later one that succeeds', async () => {
    const left = numbers(40);
    const worker = await withLimits(removeNumbers(left), { confirmActions: 30 });
    const execute = async (isDryRun: boolean) => {
      const { id } = await worker.service.request(NAME, isDryRun);
      await worker.execute(id);
      return id;
    };
    const id = await execute(false);
    for (const n of numbers(20)) left.delete(n);
    await execute(true);
    expect((await worker.rows())[0]).toMatchObject({ id, state: 'WAITING' });
    await execute(false);
    expect(left.size).toBe(0);
    expect((await worker.rows())[0]).toMatchObject({
      id,
      state: 'CANCELLED',
      error: 'A later run succeeded.',
    });
    await expect(worker.service.confirm(id)).rejects.toMatchObject({ reason: 'TASK_RUN_NOT_WAITING' });
  });

  it('count again when they find more changes than are allowed', async () => {
    const left = numbers(30);
    let isCounted = false;
    const call: Task = (context) => {
      if (isCounted && !context.isDryRun) for (const n of numbers(130)) if (n > 30) left.add(n);
      isCounted = true;
      return removeNumbers(left)(context);
    };
    const worker = await withLimits(call, { confirmActions: 30, confirmPercent: 100 });
    const { id } = await worker.service.request(NAME, false);
    // The run is to be continued at once.
    expect(await worker.execute(id)).toMatchObject({ id });
    expect(left.size).toBe(100);
    expect(await worker.row()).toMatchObject({ state: 'QUEUED', allowed: null, changed: 0n });
    await worker.execute(id);
    expect(await worker.row()).toMatchObject({ state: 'WAITING', planned: 100n });
    expect(left.size).toBe(100);
  });

  it('do not exceed the allowed number in several workers', async () => {
    const left = numbers(40);
    const worker = await withLimits(removeNumbers(left), { confirmActions: 20 });
    const { id } = await worker.service.request(NAME, false);
    await worker.execute(id);
    await worker.service.confirm(id);
    // The workers before made all but one of the changes that are allowed.
    await worker.pool.query('update task_runs set changed = allowed - 1');
    expect(await worker.execute(id)).toMatchObject({ id });
    expect(left.size).toBe(39);
  });

  it('continue to count in another worker', async () => {
    const left = numbers(40);
    const stopping = new AbortController();
    let isStopping = true;
    const call: Task = async function* (context) {
      for await (const step of removeNumbers(left)(context)) {
        if (isStopping && step.cursor === '25') stopping.abort();
        yield step;
      }
    };
    const worker = await workers.start('takes no jobs', [
      taskClass(NAME, YEARLY, call, { ...CONFIRMED, concurrency: 1 }),
    ]);
    const { id } = await worker.service.request(NAME, false);
    await worker.execute(id, stopping.signal);
    expect(await worker.row()).toMatchObject({ state: 'QUEUED', changed: 25n, cursor: '25' });
    isStopping = false;
    await worker.execute(id);
    expect(await worker.row()).toMatchObject({ state: 'WAITING', planned: 40n });
    expect(left.size).toBe(40);
  });
});
