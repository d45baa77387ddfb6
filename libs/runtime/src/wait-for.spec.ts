import { describe, expect, it } from '@jest/globals';
import { waitFor } from './wait-for.js';

describe('waitFor', () => {
  it('retries an attempt after a temporary error', async () => {
    let attempts = 0;
    const attempt = () => {
      attempts += 1;
      return attempts < 3 ? Promise.reject(new Error('not yet')) : Promise.resolve('there');
    };
    expect(await waitFor('a server', attempt)).toBe('there');
    expect(attempts).toBe(3);
  });

  it('throws any other error immediately', async () => {
    let attempts = 0;
    const attempt = () => {
      attempts += 1;
      return Promise.reject(new Error('wrong password'));
    };
    const isTemporary = () => false;
    await expect(waitFor('a server', attempt, isTemporary)).rejects.toThrow('wrong password');
    expect(attempts).toBe(1);
  });
});
