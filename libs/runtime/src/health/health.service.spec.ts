import { describe, expect, it } from '@jest/globals';
import { probe } from './health.service.js';

describe('probe', () => {
  it.each([
    ['answers', () => Promise.resolve(null), true],
    ['fails', () => Promise.reject(new Error('postgresql://secret@db is down')), false],
    ['never answers', () => new Promise(() => undefined), false],
  ])('of what %s', async (_, ask, ok) => {
    expect(await probe(ask, 50)).toEqual({ ok, latencyMs: expect.any(Number) });
  });

  it('tells what it gave up on to stop', async () => {
    let given: AbortSignal | undefined;
    await probe((signal) => {
      given = signal;
      return new Promise(() => undefined);
    }, 50);
    expect(given?.aborted).toBe(true);
  });
});
