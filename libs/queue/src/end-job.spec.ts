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
  ])('is done with a job that ended in $kind', async (error) => {
    await expect(endJob(jobOf().job, 't', error, nothing)).resolves.toBeUndefined();
  });

  it('delays a job whose dependency is down, and uses up no attempt', async () => {
    const { job, moveToDelayed } = jobOf();
    const before = Date.now();
    await expect(endJob(job, 'token', unavailable('X', 'x'), nothing)).rejects.toBeInstanceOf(DelayedError);
    const [at, token] = moveToDelayed.mock.calls[0]!;
    expect(at).toBeGreaterThanOrEqual(before + 2_000);
    expect(token).toBe('token');
  });

  it('leaves a job to its lock when the queue is down as well, rather than have it failed', async () => {
    const { job, moveToDelayed } = jobOf();
    moveToDelayed.mockRejectedValue(new Error('connect ECONNREFUSED'));
    const onLost = jest.fn();
    const settling = endJob(job, 'token', unavailable('X', 'x'), onLost);
    await expect(settling).rejects.toBeInstanceOf(DelayedError);
    expect(onLost).toHaveBeenCalledWith(job);
  });

  it('fails at once what can never succeed, and lets bugs be bugs', async () => {
    await expect(endJob(jobOf().job, 't', invalid('X', 'x'), nothing)).rejects.toBeInstanceOf(
      UnrecoverableError,
    );
    const bug = new TypeError('bug');
    await expect(endJob(jobOf().job, 't', bug, nothing)).rejects.toBe(bug);
  });
});

it('backs off exponentially, with jitter and a limit', () => {
  expect([1, 2, 3, 20].map((turn) => backoffMs(turn, () => 1))).toEqual([1_000, 2_000, 4_000, 30_000]);
  expect(backoffMs(3, () => 0)).toBe(2_000);
});
