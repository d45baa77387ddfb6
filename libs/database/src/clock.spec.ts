import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { configured } from '#libs/runtime';
import { Clock } from './clock.js';
import type { Database } from './database.js';
import { DatabaseConfig } from './database.config.js';

const START = Date.UTC(2031, 0, 1);
const SECOND = 1000;
const HOUR = 3_600_000;

// Runs the real arithmetic on a fake database and fake timers.
describe('Clock', () => {
  let aheadMs: number;
  let roundTripMs: number;
  let clock: Clock;

  beforeEach(() => {
    jest.useFakeTimers({ now: START });
    [aheadMs, roundTripMs] = [0, 40];
    const query = () => {
      jest.advanceTimersByTime(roundTripMs / 2);
      const ms = Date.now() + aheadMs;
      jest.advanceTimersByTime(roundTripMs / 2);
      return Promise.resolve([{ ms }]);
    };
    const config = configured(DatabaseConfig, { clockLimitSeconds: 30 });
    clock = new Clock(config, { query } as unknown as Database);
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  const offset = () => clock.now().getTime() - Date.now();

  it.each([2 * HOUR, -2 * HOUR, 20 * SECOND, 0])('returns the time of a database %i ms ahead', async (ms) => {
    aheadMs = ms;
    await clock.measure();
    expect(offset()).toBe(ms);
  });

  it('uses the sample with the shortest round trip', async () => {
    aheadMs = 500;
    await clock.measure();
    [aheadMs, roundTripMs] = [700, 2000];
    await clock.measure();
    expect(offset()).toBe(500);
    [aheadMs, roundTripMs] = [520, 20];
    await clock.measure();
    expect(offset()).toBe(520);
  });

  it('drops samples from before a clock was set', async () => {
    await clock.measure();
    [aheadMs, roundTripMs] = [5 * SECOND, 400];
    await clock.measure();
    expect(offset()).toBe(5 * SECOND);
  });

  it.each([31 * SECOND, -31 * SECOND])(
    'rejects while its offset is %i ms and reports the offset',
    async (ms) => {
      aheadMs = ms;
      await clock.measure();
      expect(() => clock.check()).toThrow(
        expect.objectContaining({ kind: 'unavailable', reason: 'CLOCK_OFFSET' }),
      );
      await expect(clock.checkHealth()).rejects.toThrow();
      expect(clock.healthFigures()).toEqual({ offsetSeconds: ms / SECOND });
      aheadMs = 29 * SECOND;
      await clock.measure();
      expect(() => clock.check()).not.toThrow();
      await clock.checkHealth();
    },
  );

  it('accepts an offset within the error of a slow round trip', async () => {
    [aheadMs, roundTripMs] = [31 * SECOND, 4 * SECOND];
    await clock.measure();
    expect(() => clock.check()).not.toThrow();
  });
});
