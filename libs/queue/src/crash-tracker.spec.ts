import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, jest } from '@jest/globals';
import type { Job, Queue } from 'bullmq';
import { CrashTracker } from './crash-tracker.js';
import { CRASHES_PER_ATTEMPT, MAX_STALLS } from './worker-options.js';

const jobOf = (stalledCounter: number) => ({ id: 'a', stalledCounter }) as Job;

/** @param now the job's stalled counter in the queue */
function trackerOf(failures = 0, now = 0) {
  const logs: string[] = [];
  const queue = {
    getJob: () => (failures-- > 0 ? Promise.reject(new Error('ECONNREFUSED')) : Promise.resolve(jobOf(now))),
    addJobLog: (_: string, line: string) => Promise.resolve(logs.push(line)),
    getJobLogs: jest.fn(() => Promise.resolve({ logs: [...logs], count: logs.length })),
  };
  return { tracker: new CrashTracker(queue as unknown as Queue), queue, logs };
}

describe('CrashTracker', () => {
  it('sends no query to the queue below the limit', async () => {
    const { tracker, queue } = trackerOf();
    expect(await tracker.countCrashes(jobOf(CRASHES_PER_ATTEMPT - 1), 0)).toBe(CRASHES_PER_ATTEMPT - 1);
    expect(queue.getJobLogs).not.toHaveBeenCalled();
  });

  it('does not count a crash when it receives a job that it still processes', async () => {
    const { tracker, logs } = trackerOf();
    const gate = Promise.withResolvers<void>();
    const first = tracker.run(jobOf(2), () => gate.promise);
    const second = tracker.run(jobOf(3), () => gate.promise);
    gate.resolve();
    await Promise.all([first, second]);
    expect(logs).toEqual(['2']);
    expect(await tracker.countCrashes(jobOf(3), 0)).toBe(2);
  });

  it('reports a lost lock once, as soon as the queue is available again', async () => {
    const { tracker, logs } = trackerOf(1);
    const job = jobOf(1);
    for (let times = 0; times < 3; times++) tracker.reportLostLock(job);
    expect(logs).toEqual([]);
    while (logs.length === 0) await delay(20);
    expect(logs).toEqual(['1']);
  });

  it.each([
    ['reports a lost lock when it finishes a job that another worker took over', 2, ['1']],
    ['reports nothing when it finishes a job whose lock it still holds', 1, []],
  ])('%s', async (_, now, lines) => {
    const { tracker, queue, logs } = trackerOf(0, now);
    const getJob = jest.spyOn(queue, 'getJob');
    const clock = jest.spyOn(performance, 'now').mockReturnValueOnce(0).mockReturnValueOnce(15_000);
    await tracker.run(jobOf(1), () => Promise.resolve());
    clock.mockRestore();
    await Promise.all(getJob.mock.results.map(({ value }) => value as Promise<unknown>));
    await Promise.resolve();
    expect(getJob).toHaveBeenCalledTimes(1);
    expect(logs).toEqual(lines);
  });

  it('waits for reports of other workers before it counts to the limit', async () => {
    const { tracker } = trackerOf();
    const counting = tracker.countCrashes(jobOf(CRASHES_PER_ATTEMPT), 200);
    await delay(20);
    tracker.reportLostLock(jobOf(0));
    expect(await counting).toBe(CRASHES_PER_ATTEMPT - 1);
  });

  it('fails as unavailable when the queue does not answer', async () => {
    const { tracker, queue } = trackerOf();
    queue.getJobLogs.mockRejectedValue(new Error('ECONNREFUSED'));
    await expect(tracker.countCrashes(jobOf(CRASHES_PER_ATTEMPT), 0)).rejects.toMatchObject({
      kind: 'unavailable',
    });
  });

  it('ignores log lines that do not report an expired lock', async () => {
    const { tracker, logs } = trackerOf();
    logs.push('0', '3', '7', 'a line of another program', '');
    expect(await tracker.countCrashes(jobOf(3), 0)).toBe(2);
  });

  it('gives up a job whose lock it lost during the wait', async () => {
    const { tracker } = trackerOf();
    const job = jobOf(CRASHES_PER_ATTEMPT);
    const counting = tracker.countCrashes(job, 100);
    await delay(10);
    tracker.reportLostLock(job);
    await expect(counting).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('counts every expired lock as a crash at the limit on stalls', async () => {
    const { tracker, logs } = trackerOf();
    for (let taken = 0; taken < MAX_STALLS; taken++) logs.push(String(taken));
    expect(await tracker.countCrashes(jobOf(MAX_STALLS), 0)).toBe(MAX_STALLS);
  });
});
