import { describe, expect, it, jest } from '@jest/globals';
import { DelayedError, type Job, UnrecoverableError } from 'bullmq';
import { invalid, StowageError, unavailable } from '#libs/domain';
import { backoffMs, endJob } from './end-job.js';

const jobOf = () => {
  const moveToDelayed = jest.fn<Job['moveToDelayed']>().mockResolvedValue();
  return { job: { attemptsStarted: 3, moveToDelayed } as unknown as Job, moveToDelayed };
};

const nothing = () => undefined;

describe('endJob', () => {
  it.each([
    new StowageError('not-found', 'X', 'x'),
    new StowageError('conflict', 'X', 'x'),
    new StowageError('rejected', 'X', 'x'),
  ])('completes a job that ended in $kind', async (error) => {
    await expect(endJob(jobOf().job, 't', error, nothing)).resolves.toBeUndefined();
  });

  it('delays a job whose dependency is down without using up an attempt', async () => {
    const { job, moveToDelayed } = jobOf();
    const before = Date.now();
    await expect(endJob(job, 'token', unavailable('X', 'x'), nothing)).rejects.toBeInstanceOf(DelayedError);
    const [at, token] = moveToDelayed.mock.calls[0]!;
    expect(at).toBeGreaterThanOrEqual(before + 2_000);
    expect(token).toBe('token');
  });

  it('does not fail a job when the queue is down as well, and lets its lock expire', async () => {
    const { job, moveToDelayed } = jobOf();
    moveToDelayed.mockRejectedValue(new Error('connect ECONNREFUSED'));
    const onLost = jest.fn();
    const ending = endJob(job, 'token', unavailable('X', 'x'), onLost);
    await expect(ending).rejects.toBeInstanceOf(DelayedError);
    expect(onLost).toHaveBeenCalledWith(job);
  });

  it('fails an invalid job without retries, and rethrows unexpected errors', async () => {
    await expect(endJob(jobOf().job, 't', invalid('X', 'x'), nothing)).rejects.toBeInstanceOf(
      UnrecoverableError,
    );
    const bug = new TypeError('bug');
    await expect(endJob(jobOf().job, 't', bug, nothing)).rejects.toBe(bug);
  });
});

it('backs off exponentially, with jitter and a limit', () => {
  expect([1, 2, 3, 20].map((attempt) => backoffMs(attempt, () => 1))).toEqual([1_000, 2_000, 4_000, 30_000]);
  expect(backoffMs(3, () => 0)).toBe(2_000);
});
