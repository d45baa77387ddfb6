import { setImmediate as nextTurnOfLoop } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { type RateLimiterClock, KeyedRateLimiter } from './keyed-rate-limiter.js';

/** Time that passes while somebody sleeps, and a little late, as timers are. */
class Clock implements RateLimiterClock {
  time = 0;

  now(): number {
    return this.time;
  }

  async sleep(ms: number): Promise<void> {
    await nextTurnOfLoop();
    this.time += Math.ceil(ms) + 1;
  }
}

describe('KeyedRateLimiter', () => {
  it('gives the turns of a key in order: a second’s worth at once, and so many a second from then on', async () => {
    const clock = new Clock();
    const turns = new KeyedRateLimiter<string>(50, clock);
    const taken: { index: number; at: number }[] = [];
    const take = async (index: number) => {
      await turns.take('a');
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

  it('gives no more at once after a pause, however long', async () => {
    const clock = new Clock();
    const turns = new KeyedRateLimiter<string>(10, clock);
    const takeAll = () => Promise.all(Array.from({ length: 20 }, () => turns.take('a')));
    await takeAll();
    clock.time += 60_000;
    const from = clock.time;
    await takeAll();
    expect(clock.time - from).toBeGreaterThanOrEqual(1_000);
  });

  it('lets other work happen between two turns', async () => {
    const turns = new KeyedRateLimiter<string>(1000);
    let loops = 0;
    let isDone = false;
    const count = async () => {
      for (; !isDone; loops++) await nextTurnOfLoop();
    };
    const counting = count();
    const at: number[] = [];
    const take = async () => {
      await turns.take('a');
      at.push(loops);
    };
    await Promise.all(Array.from({ length: 100 }, take));
    isDone = true;
    await counting;
    expect(new Set(at).size).toBe(100);
  });

  it('lets no key wait for another, and counts who waits', async () => {
    const asleep: (() => void)[] = [];
    const clock = { now: () => 0, sleep: () => new Promise<void>((resolve) => asleep.push(resolve)) };
    const turns = new KeyedRateLimiter<string>(2, clock);
    await turns.take('a');
    // Nobody waits meanwhile, and whoever comes then does not wait either.
    for (let loops = 0; loops < 5; loops++) await nextTurnOfLoop();
    await turns.take('a');
    let isGiven = false;
    void turns.take('a').then(() => (isGiven = true));
    await Promise.all([turns.take('b'), turns.take('c')]);
    expect([isGiven, turns.waiting]).toEqual([false, 1]);
  });

  it('forgets a key that waits for nothing', async () => {
    const turns = new KeyedRateLimiter<string>(2, new Clock());
    await turns.take('a');
    while ((turns as unknown as { lanes: Map<string, unknown> }).lanes.size > 0) await nextTurnOfLoop();
    await turns.take('a');
  });
});
