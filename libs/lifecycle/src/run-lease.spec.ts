import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { PinoLogger } from 'nestjs-pino';
import { RunLease } from './run-lease.js';
import { newProgress } from './task-runner.js';
import type { TaskRunsRepository } from './task-runs.repository.js';

const logger = { warn: () => undefined } as unknown as PinoLogger;

describe('lease of a run', () => {
  const record = jest.fn<TaskRunsRepository['record']>();
  let lease: RunLease;
  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
    record.mockReset().mockResolvedValue(true);
    const runs = { record } as unknown as TaskRunsRepository;
    lease = new RunLease(runs, { id: 1n, attempt: 1 }, newProgress(), logger, performance.now());
  });
  afterEach(async () => {
    await lease.end();
    jest.useRealTimers();
  });

  it('writes after the record that is in progress, and records nothing meanwhile', async () => {
    const [recorded, written] = [Promise.withResolvers<boolean>(), Promise.withResolvers<string>()];
    record.mockReturnValueOnce(recorded.promise);
    await jest.advanceTimersByTimeAsync(2_000);
    const write = jest.fn(() => written.promise);
    const result = lease.write(write);
    await jest.advanceTimersByTimeAsync(1_000);
    expect(record).toHaveBeenCalledTimes(1);
    expect(write).not.toHaveBeenCalled();
    recorded.resolve(true);
    await jest.advanceTimersByTimeAsync(10_000);
    expect(write).toHaveBeenCalledTimes(1);
    expect(record).toHaveBeenCalledTimes(1);
    written.resolve('written');
    expect(await result).toBe('written');
    await jest.advanceTimersByTimeAsync(2_000);
    expect(record).toHaveBeenCalledTimes(2);
  });

  it('passes on the error of a write and continues to record', async () => {
    const error = new Error('down');
    await expect(lease.write(() => Promise.reject(error))).rejects.toBe(error);
    await jest.advanceTimersByTimeAsync(2_000);
    expect(record).toHaveBeenCalledTimes(1);
  });

  it('ends after the record that is in progress, and records no more', async () => {
    const recorded = Promise.withResolvers<boolean>();
    record.mockReturnValueOnce(recorded.promise);
    await jest.advanceTimersByTimeAsync(2_000);
    const isEnded = jest.fn();
    const ended = lease.end().then(isEnded);
    await jest.advanceTimersByTimeAsync(10_000);
    expect(isEnded).not.toHaveBeenCalled();
    recorded.resolve(true);
    await ended;
    expect(record).toHaveBeenCalledTimes(1);
    expect(jest.getTimerCount()).toBe(0);
  });
});
