import { describe, expect, it } from '@jest/globals';
import { probe } from './health.service.js';

describe('probe', () => {
  it.each([
    ['resolves', () => Promise.resolve(null), true],
    ['rejects', () => Promise.reject(new Error('postgresql://secret@db is down')), false],
    ['never resolves', () => new Promise(() => undefined), false],
  ])('reports a check that %s', async (_, check, ok) => {
    expect(await probe(check, 50)).toEqual({ ok, latencyMs: expect.any(Number) });
  });

  it('aborts the signal of a check that timed out', async () => {
    let given: AbortSignal | undefined;
    await probe((signal) => {
      given = signal;
      return new Promise(() => undefined);
    }, 50);
    expect(given?.aborted).toBe(true);
  });
});
