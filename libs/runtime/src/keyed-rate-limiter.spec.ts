import { setImmediate as nextLoop } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { type RateLimiterClock, KeyedRateLimiter } from './keyed-rate-limiter.js';

/** A clock that advances during `sleep`, by slightly more than requested, as timers do. */
class Clock implements RateLimiterClock {
  time = 0;

  now(): number {
    return this.time;
  }

  async sleep(ms: number): Promise<void> {
    await nextLoop();
    this.time += Math.ceil(ms) + 1;
  }
}

describe('KeyedRateLimiter', () => {
  it('grants the turns of a key in order: a burst of one second’s worth, then the rate', async () => {
    const clock = new Clock();
    const limiter = new KeyedRateLimiter<string>(50, clock);
    const taken: { index: number; at: number }[] = [];
    const take = async (index: number) => {
      await limiter.take('a');
      taken.push({ index, at: clock.time });
    };
    await Promise.all(Array.from({ length: 300 }, (_, index) => take(index)));
    expect(taken.map(({ index }) => index)).toEqual(Array.from({ length: 300 }, (_, index) => index));
    expect(taken.filter(({ at }) => at === 0)).toHaveLength(50);
    for (const [first, { at: from }] of taken.entries()) {
      for (const [last, { at: to }] of taken.entries()) {
        if (last > first) expect(last - first + 1).toBeLessThanOrEqual(50 + ((to - from) * 50) / 1000 + 1e-6);
      }
    }
    expect(taken.at(-1)!.at).toBeLessThan(6_000);
  });

  it('does not grant a larger burst after a long pause', async () => {
    const clock = new Clock();
    const limiter = new KeyedRateLimiter<string>(10, clock);
    const takeAll = () => Promise.all(Array.from({ length: 20 }, () => limiter.take('a')));
    await takeAll();
    clock.time += 60_000;
    const from = clock.time;
    await takeAll();
    expect(clock.time - from).toBeGreaterThanOrEqual(1_000);
  });

  it('yields to the event loop between two turns', async () => {
    const limiter = new KeyedRateLimiter<string>(1000);
    let loops = 0;
    let isDone = false;
    const count = async () => {
      for (; !isDone; loops++) await nextLoop();
    };
    const counting = count();
    const at: number[] = [];
    const take = async () => {
      await limiter.take('a');
      at.push(loops);
    };
    await Promise.all(Array.from({ length: 100 }, take));
    isDone = true;
    await counting;
    expect(new Set(at).size).toBe(100);
  });

  it('does not delay a key for another and counts the waiting callers', async () => {
    const sleepers: (() => void)[] = [];
    const clock = { now: () => 0, sleep: () => new Promise<void>((resolve) => sleepers.push(resolve)) };
    const limiter = new KeyedRateLimiter<string>(2, clock);
    await limiter.take('a');
    // The key becomes idle, and its next caller must not wait either.
    for (let loops = 0; loops < 5; loops++) await nextLoop();
    await limiter.take('a');
    let isGranted = false;
    void limiter.take('a').then(() => (isGranted = true));
    await Promise.all([limiter.take('b'), limiter.take('c')]);
    expect([isGranted, limiter.waiting]).toEqual([false, 1]);
  });

  it('ends the wait of a caller on abort, and gives its turn to the next caller', async () => {
    const sleepers: (() => void)[] = [];
    const clock = {
      time: 0,
      now: () => clock.time,
      sleep: () => new Promise<void>((resolve) => sleepers.push(resolve)),
    };
    const limiter = new KeyedRateLimiter<string>(1, clock);
    await limiter.take('a');
    const [end, unused] = [new AbortController(), new AbortController()];
    const [ended, granted] = [limiter.take('a', end.signal), limiter.take('a', unused.signal)];
    for (let loops = 0; loops < 5; loops++) await nextLoop();
    end.abort();
    expect([await ended, await limiter.take('a', end.signal), limiter.waiting]).toEqual([false, false, 1]);
    clock.time += 1_000;
    for (const wake of sleepers.splice(0)) wake();
    expect([await granted, limiter.waiting]).toEqual([true, 0]);
  });

  it('keeps the turn that was available when all waiting callers left', async () => {
    const clock = new Clock();
    const limiter = new KeyedRateLimiter<string>(1, clock);
    await limiter.take('a');
    const end = new AbortController();
    const left = limiter.take('a', end.signal);
    end.abort();
    expect(await left).toBe(false);
    for (let loops = 0; loops < 5; loops++) await nextLoop();
    const from = clock.time;
    await limiter.take('a');
    expect(clock.time).toBe(from);
  });

  it('removes an idle key', async () => {
    const limiter = new KeyedRateLimiter<string>(2, new Clock());
    await limiter.take('a');
    while ((limiter as unknown as { lanes: Map<string, unknown> }).lanes.size > 0) await nextLoop();
    await limiter.take('a');
  });
});
