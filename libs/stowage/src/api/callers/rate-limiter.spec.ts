import { describe, expect, it } from '@jest/globals';
import { Registry } from 'prom-client';
import { configured } from '#libs/runtime';
import type { Lease, LeaseStore } from './lease-store.js';
import { RateLimitConfig } from './rate-limit.config.js';
import { RateLimiter } from './rate-limiter.js';

const MINUTE_MS = 60_000;

/** A store in memory, with a clock that the test sets. */
class FakeStore {
  now = 0;
  /** Weight of each request to the store. */
  readonly asked: number[] = [];
  isDown = false;
  private readonly minutes = new Map<bigint, { consumed: number; endsAt: number }>();

  constructor(private readonly perMinute: number) {}

  async lease(ownerId: bigint, weight: number): Promise<Lease> {
    this.asked.push(weight);
    await Promise.resolve();
    if (this.isDown) throw new Error('down');
    const known = this.minutes.get(ownerId);
    const minute =
      known !== undefined && known.endsAt > this.now ? known : { consumed: 0, endsAt: this.now + MINUTE_MS };
    this.minutes.set(ownerId, minute);
    const left = this.perMinute - minute.consumed;
    minute.consumed += weight;
    return { granted: Math.min(Math.max(left, 0), weight), remainingMs: minute.endsAt - this.now };
  }
}

function start(perMinute: number, more: Partial<RateLimitConfig> = {}) {
  const store = new FakeStore(perMinute);
  const config = configured(RateLimitConfig, { perMinute, ...more });
  const process = () => {
    const limiter = new RateLimiter(config, store as unknown as LeaseStore, new Registry());
    limiter.now = () => store.now;
    return limiter;
  };
  return { store, process, limiter: process() };
}

/** 0 if the request was allowed, otherwise the seconds to wait. */
async function waitOf(limiter: RateLimiter, owner: bigint, weight: number): Promise<number> {
  try {
    await limiter.take(owner, weight);
    return 0;
  } catch (error) {
    const { kind, reason, retryAfterSeconds } = error as Record<string, unknown>;
    expect({ kind, reason }).toEqual({ kind: 'rate-limited', reason: 'RATE_LIMITED' });
    return Number(retryAfterSeconds);
  }
}

/** Number of requests of this weight that the limiters allow in turn, until each refuses one. */
async function allowed(limiters: readonly RateLimiter[], weight = 1): Promise<number> {
  const open = new Set(limiters);
  let count = 0;
  while (open.size > 0) {
    for (const limiter of open) {
      if ((await waitOf(limiter, 1n, weight)) > 0) open.delete(limiter);
      else count++;
    }
  }
  return count;
}

describe('RateLimiter', () => {
  it('allows the weight of a minute, and again when the minute has ended', async () => {
    const { store, limiter } = start(60);
    expect(await allowed([limiter])).toBe(60);
    store.now = 20_500;
    expect(await waitOf(limiter, 1n, 1)).toBe(40);
    store.now = MINUTE_MS - 1;
    expect(await waitOf(limiter, 1n, 1)).toBe(1);
    store.now = MINUTE_MS;
    expect(await allowed([limiter])).toBe(60);
  });

  it('allows the weight of a minute to all processes together', async () => {
    for (const processes of [2, 7]) {
      const { process } = start(6000);
      expect(await allowed(Array.from({ length: processes }, process))).toBe(6000);
    }
  });

  it('leaves one share at most in a process that stops', async () => {
    const { process, limiter } = start(6000);
    for (let request = 0; request < 100; request++) await limiter.take(1n, 1);
    expect(await allowed([process()])).toBeGreaterThanOrEqual(6000 - 100 - 300);
  });

  it('leases a twentieth at most, less at first, and asks the store once for each lease', async () => {
    const { store, limiter } = start(6000);
    expect(await allowed([limiter])).toBe(6000);
    expect(store.asked.slice(0, 5)).toEqual([30, 60, 120, 240, 300]);
    expect(Math.max(...store.asked)).toBe(300);
    expect(store.asked.length).toBeLessThan(25);
  });

  it('asks the store for nothing while the share lasts, nor when the minute is used up', async () => {
    const { store, limiter } = start(6000);
    await limiter.take(1n, 1);
    for (let request = 0; request < 29; request++) expect(limiter.take(1n, 1)).toBeUndefined();
    expect(store.asked).toEqual([30]);
    await allowed([limiter]);
    const { length } = store.asked;
    for (let request = 0; request < 100; request++) await waitOf(limiter, 1n, 1);
    expect(store.asked).toHaveLength(length);
  });

  it('shares a lease between concurrent requests of an owner', async () => {
    const { store, limiter } = start(6000);
    await Promise.all(Array.from({ length: 1000 }, () => waitOf(limiter, 1n, 1)));
    expect(store.asked).toEqual([30, 970]);
    await Promise.all(Array.from({ length: 100 }, (_, owner) => waitOf(limiter, BigInt(owner + 2), 1)));
    expect(store.asked).toHaveLength(102);
  });

  it('refuses exactly the concurrent requests beyond the limit', async () => {
    const { limiter } = start(100);
    const waits = await Promise.all(Array.from({ length: 300 }, () => waitOf(limiter, 1n, 1)));
    expect(waits.filter((seconds) => seconds === 0)).toHaveLength(100);
    expect(new Set(waits)).toEqual(new Set([0, 60]));
  });

  it('leases what a heavy request needs, and does not charge a rejected one', async () => {
    const { store, limiter } = start(200);
    expect(await waitOf(limiter, 1n, 150)).toBe(0);
    expect(store.asked).toEqual([150]);
    for (let again = 0; again < 10; again++) expect(await waitOf(limiter, 1n, 100)).toBe(60);
    expect(await allowed([limiter])).toBe(50);
  });

  it('allows a request of more than the weight of a minute once in a minute', async () => {
    const { store, limiter } = start(60);
    expect(await waitOf(limiter, 1n, 100)).toBe(0);
    expect(await waitOf(limiter, 1n, 1)).toBe(60);
    store.now = MINUTE_MS;
    expect(await waitOf(limiter, 1n, 100)).toBe(0);
  });

  it('limits each owner separately', async () => {
    const { limiter } = start(60);
    expect(await allowed([limiter])).toBe(60);
    expect(await waitOf(limiter, 2n, 60)).toBe(0);
  });

  it('grants the weight of a minute by itself while the store is down, and pauses requests to it', async () => {
    const { store, limiter } = start(6000);
    for (let request = 0; request < 10; request++) await limiter.take(1n, 1);
    store.isDown = true;
    // The rest of the first lease, and a minute of its own.
    expect(await allowed([limiter])).toBe(20 + 6000);
    expect(store.asked).toHaveLength(2);
    expect(await waitOf(limiter, 2n, 1)).toBe(0);
    expect(store.asked).toHaveLength(2);
    store.isDown = false;
    store.now = MINUTE_MS;
    expect(await allowed([limiter])).toBe(6000);
    expect(store.asked.length).toBeGreaterThan(10);
  });

  it('keeps a limited number of shares and drops the least recently used', async () => {
    const { store, limiter } = start(6000, { maxShares: 3 });
    for (const owner of [1n, 2n, 3n, 1n, 4n]) await limiter.take(owner, 1);
    expect(limiter.size).toBe(3);
    expect(store.asked).toHaveLength(4);
    for (const owner of [1n, 3n, 4n]) expect(limiter.take(owner, 1)).toBeUndefined();
    await limiter.take(2n, 1);
    expect(store.asked).toHaveLength(5);
  });

  it('applies no limit at 0 and does not ask the store', () => {
    const { store, limiter } = start(0);
    for (let again = 0; again < 10; again++) expect(limiter.take(1n, 1_000_000)).toBeUndefined();
    expect([limiter.size, store.asked.length]).toEqual([0, 0]);
  });
});
