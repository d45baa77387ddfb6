import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, jest } from '@jest/globals';
import type { Job, Queue } from 'bullmq';
import { CrashTracker } from './crash-tracker.js';
import { CRASHES_PER_ATTEMPT, MOST_STALLS } from './worker-options.js';

const jobOf = (stalledCounter: number) => ({ id: 'a', stalledCounter }) as Job;

/** @param now the count at which the queue has the job */
function deathsOf(failures = 0, now = 0) {
  const logs: string[] = [];
  const queue = {
    getJob: () => (failures-- > 0 ? Promise.reject(new Error('ECONNREFUSED')) : Promise.resolve(jobOf(now))),
    addJobLog: (_: string, line: string) => Promise.resolve(logs.push(line)),
    getJobLogs: jest.fn(() => Promise.resolve({ logs: [...logs], count: logs.length })),
  };
  return { deaths: new CrashTracker(queue as unknown as Queue), queue, logs };
}

describe('CrashTracker', () => {
  it('asks nothing of the queue while there are few', async () => {
    const { deaths, queue } = deathsOf();
    expect(await deaths.on(jobOf(CRASHES_PER_ATTEMPT - 1), 0)).toBe(CRASHES_PER_ATTEMPT - 1);
    expect(queue.getJobLogs).not.toHaveBeenCalled();
  });

  it('does not count itself when a job comes back that it still works on', async () => {
    const { deaths, logs } = deathsOf();
    const gate = Promise.withResolvers<void>();
    const first = deaths.during(jobOf(2), () => gate.promise);
    const second = deaths.during(jobOf(3), () => gate.promise);
    gate.resolve();
    await Promise.all([first, second]);
    expect(logs).toEqual(['2']);
    expect(await deaths.on(jobOf(3), 0)).toBe(2);
  });

  it('says that it lives when the queue is there again, and once', async () => {
    const { deaths, logs } = deathsOf(1);
    const job = jobOf(1);
    for (let times = 0; times < 3; times++) deaths.outlived(job);
    expect(logs).toEqual([]);
    while (logs.length === 0) await delay(20);
    expect(logs).toEqual(['1']);
  });

  it.each([
    ['says that it lives when it ends work that another worker has taken over', 2, ['1']],
    ['says nothing when it ends work that it still holds', 1, []],
  ])('%s', async (_, now, lines) => {
    const { deaths, queue, logs } = deathsOf(0, now);
    const getJob = jest.spyOn(queue, 'getJob');
    const clock = jest.spyOn(performance, 'now').mockReturnValueOnce(0).mockReturnValueOnce(15_000);
    await deaths.during(jobOf(1), () => Promise.resolve());
    clock.mockRestore();
    await Promise.all(getJob.mock.results.map(({ value }) => value as Promise<unknown>));
    await Promise.resolve();
    expect(getJob).toHaveBeenCalledTimes(1);
    expect(logs).toEqual(lines);
  });

  it('gives the others time to say so before a job is settled', async () => {
    const { deaths } = deathsOf();
    const counting = deaths.on(jobOf(CRASHES_PER_ATTEMPT), 200);
    await delay(20);
    deaths.outlived(jobOf(0));
    expect(await counting).toBe(CRASHES_PER_ATTEMPT - 1);
  });

  it('knows nothing when the queue does not answer', async () => {
    const { deaths, queue } = deathsOf();
    queue.getJobLogs.mockRejectedValue(new Error('ECONNREFUSED'));
    await expect(deaths.on(jobOf(CRASHES_PER_ATTEMPT), 0)).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('counts no line that is not of a lock that ran out', async () => {
    const { deaths, logs } = deathsOf();
    logs.push('0', '3', '7', 'said by somebody else', '');
    expect(await deaths.on(jobOf(3), 0)).toBe(2);
  });

  it('leaves a job that it lost while it waited to whoever has it', async () => {
    const { deaths } = deathsOf();
    const job = jobOf(CRASHES_PER_ATTEMPT);
    const counting = deaths.on(job, 100);
    await delay(10);
    deaths.outlived(job);
    await expect(counting).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('believes no end of lives', async () => {
    const { deaths, logs } = deathsOf();
    for (let taken = 0; taken < MOST_STALLS; taken++) logs.push(String(taken));
    expect(await deaths.on(jobOf(MOST_STALLS), 0)).toBe(MOST_STALLS);
  });
});
