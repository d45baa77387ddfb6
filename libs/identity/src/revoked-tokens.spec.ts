import { describe, expect, it } from '@jest/globals';
import { RevokedTokens } from './revoked-tokens.js';

describe('RevokedTokens', () => {
  it('compares the time of issue with the latest instant of the owner', () => {
    const revoked = new RevokedTokens();
    for (const before of [1_000, 3_000, 2_000]) revoked.add(1n, before);
    expect([2_999, 3_000, undefined].map((issuedAt) => revoked.isRevoked(1n, issuedAt))).toEqual([
      ...[true, false, true],
    ]);
    expect(revoked.isRevoked(2n, 0)).toBe(false);
    expect(revoked.isRevoked(2n)).toBe(false);
  });

  it('drops the earliest instants beyond its maximum, and does not know tokens that are older', () => {
    const revoked = new RevokedTokens(10);
    for (let owner = 1n; owner <= 100n; owner++) {
      revoked.add(owner, Number(owner) * 1_000);
      expect(revoked.size).toBeLessThanOrEqual(10);
    }
    expect(revoked.isRevoked(100n, 99_999)).toBe(true);
    expect(revoked.isRevoked(1n, 89_999)).toBe('unknown');
    expect(revoked.isRevoked(1n)).toBe('unknown');
    expect(revoked.isRevoked(1n, 90_000)).toBe(false);
    expect(revoked.isRevoked(91n, 90_999)).toBe(true);
  });

  it('does not know the tokens of an owner whose only instant was dropped at once', () => {
    const revoked = new RevokedTokens(2);
    for (const [owner, before] of [
      [1n, 5_000],
      [2n, 6_000],
      [3n, 1_000],
    ] as const)
      revoked.add(owner, before);
    expect([1n, 2n, 3n].map((owner) => revoked.isRevoked(owner, 500))).toEqual([true, true, 'unknown']);
  });
});
