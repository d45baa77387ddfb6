import { describe, expect, it } from '@jest/globals';
import { configured } from '#libs/runtime';
import { RateLimitConfig, RateLimiter } from './rate-limiter.js';
import { weightOf } from './weight.js';

const limiterOf = (config: Partial<RateLimitConfig>) => new RateLimiter(configured(RateLimitConfig, config));

/** 0 if the request was allowed, otherwise the seconds to wait. */
function waitOf(limiter: RateLimiter, owner: bigint, weight: number, now: number): number {
  try {
    limiter.take(owner, weight, now);
    return 0;
  } catch (error) {
    const { kind, reason, retryAfterSeconds } = error as Record<string, unknown>;
    expect({ kind, reason }).toEqual({ kind: 'rate-limited', reason: 'RATE_LIMITED' });
    return Number(retryAfterSeconds);
  }
}

describe('RateLimiter', () => {
  it('allows the weight of a minute at once, and refills it over a minute', () => {
    const limiter = limiterOf({ perMinute: 60 });
    expect(Array.from({ length: 60 }, () => waitOf(limiter, 1n, 1, 0))).toEqual(Array(60).fill(0));
    expect(waitOf(limiter, 1n, 1, 0)).toBe(1);
    expect(waitOf(limiter, 1n, 10, 0)).toBe(10);
    expect(waitOf(limiter, 1n, 1, 999)).toBe(1);
    expect(waitOf(limiter, 1n, 1, 1000)).toBe(0);
    expect(waitOf(limiter, 1n, 60, 61_000)).toBe(0);
  });

  it('does not charge rejected requests', () => {
    const limiter = limiterOf({ perMinute: 60 });
    limiter.take(1n, 60, 0);
    for (let again = 0; again < 100; again++) expect(waitOf(limiter, 1n, 10, 5_000)).toBe(5);
    expect(waitOf(limiter, 1n, 10, 10_000)).toBe(0);
  });

  it('never refills beyond the weight of a minute', () => {
    const limiter = limiterOf({ perMinute: 60 });
    limiter.take(1n, 1, 0);
    limiter.take(1n, 60, 3_600_000);
    expect(waitOf(limiter, 1n, 1, 3_600_000)).toBe(1);
  });

  it('allows a request of more than the weight of a minute when the bucket is full', () => {
    const limiter = limiterOf({ perMinute: 60 });
    expect(waitOf(limiter, 1n, 100, 0)).toBe(0);
    expect(waitOf(limiter, 1n, 100, 30_000)).toBe(30);
    expect(waitOf(limiter, 1n, 100, 60_000)).toBe(0);
  });

  it('limits each owner separately, and tolerates a clock that goes back', () => {
    const limiter = limiterOf({ perMinute: 60 });
    limiter.take(1n, 60, 10_000);
    expect(waitOf(limiter, 2n, 60, 10_000)).toBe(0);
    expect(waitOf(limiter, 1n, 1, 0)).toBe(1);
  });

  it('keeps a limited number of buckets and evicts the least recently used', () => {
    const limiter = limiterOf({ perMinute: 60, maxBuckets: 3 });
    for (const owner of [1n, 2n, 3n]) limiter.take(owner, 60, 0);
    expect(waitOf(limiter, 1n, 1, 0)).toBe(1);
    limiter.take(4n, 60, 0);
    expect(limiter.size).toBe(3);
    expect([1n, 3n, 4n].map((owner) => waitOf(limiter, owner, 1, 0))).toEqual([1, 1, 1]);
    expect(waitOf(limiter, 2n, 1, 0)).toBe(0);
  });

  it('applies no limit at 0', () => {
    const limiter = limiterOf({ perMinute: 0 });
    for (let again = 0; again < 10; again++) limiter.take(1n, 1_000_000, 0);
    expect(limiter.size).toBe(0);
  });
});

describe('weightOf', () => {
  it.each([
    [{}, 1],
    [{ id: 'x' }, 1],
    [{ first: 1 }, 1],
    [{ first: 100 }, 10],
    [{ last: 11 }, 2],
    [{ first: null, last: 20 }, 2],
    [{ first: -5 }, 1],
    [{ inputs: [] }, 1],
    [{ inputs: Array(100).fill({}) }, 100],
  ])('weighs %j as %d', (args, weight) => {
    expect(weightOf(args)).toBe(weight);
  });
});
