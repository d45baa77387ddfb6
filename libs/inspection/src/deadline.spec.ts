import { describe, expect, it } from '@jest/globals';
import { findOverrun } from './deadline.js';
import type { ProcessUsage } from './process-usage.js';

const usage = (cpuSeconds: number, waits: Record<string, number> = {}): ProcessUsage => ({
  cpuSeconds,
  residentBytes: 0,
  waits: new Map(Object.entries(waits)),
});

describe('overrunOf with a limit of ten seconds', () => {
  const before = usage(100, { main: 5_000 });
  it.each([
    ['accepts a task within both limits', usage(109, { main: 5_000 }), 9_000, null],
    ['ends a task that exceeds its processor time', usage(110.1, { main: 5_000 }), 6_000, /processor time/],
    ['ends a task that waits for anything but a processor', usage(100, { main: 5_000 }), 10_001, /not done/],
    ['accepts a task that waited for a processor', usage(101, { main: 45_000 }), 49_000, null],
    ['counts the processor waits of new threads', usage(101, { main: 5_000, other: 40_000 }), 49_000, null],
  ])('%s', (_, now, elapsedMs, why) => {
    const overrun = findOverrun(10, { before, now, elapsedMs });
    if (why === null) expect(overrun).toBeNull();
    else expect(overrun).toMatch(why);
  });
});
