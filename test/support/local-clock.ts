import { jest } from '@jest/globals';
import type { Clock } from '#libs/database';

/** Runs `work` while the local clock is off by `byMs` milliseconds and does not advance. Timers are real. */
export async function withLocalClockOff<T>(byMs: number, clock: Clock, work: () => Promise<T>): Promise<T> {
  jest.useFakeTimers({
    now: Date.now() + byMs,
    doNotFake: [
      ...(['hrtime', 'nextTick', 'performance', 'queueMicrotask', 'setImmediate', 'clearImmediate'] as const),
      ...(['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] as const),
    ],
  });
  try {
    await clock.measure();
    return await work();
  } finally {
    jest.useRealTimers();
    await clock.measure();
  }
}
