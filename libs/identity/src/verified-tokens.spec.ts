import { describe, expect, it } from '@jest/globals';
import { VerifiedTokens } from './verified-tokens.js';

const claims = {
  issuer: 'tests',
  subject: '42',
  groups: [],
  scopes: new Set<string>(),
  expiresAt: new Date(3_600_000),
};

describe('VerifiedTokens', () => {
  it('finds a token for a minute, by its full text', () => {
    const tokens = new VerifiedTokens();
    tokens.add('a.b.c', claims, 3_600_000, 0);
    expect(tokens.find('a.b.c', 59_999)).toBe(claims);
    expect(tokens.find('a.b.c', 60_000)).toBeUndefined();
    expect(tokens.find('a.b.d', 0)).toBeUndefined();
    expect(tokens.find('a.b.', 0)).toBeUndefined();
  });

  it('does not find a token after its expiry', () => {
    const tokens = new VerifiedTokens();
    tokens.add('a.b.c', claims, 10_000, 0);
    expect(tokens.find('a.b.c', 9_999)).toBe(claims);
    expect(tokens.find('a.b.c', 10_000)).toBeUndefined();
  });

  it('keeps a token that was verified again for another minute', () => {
    const tokens = new VerifiedTokens();
    tokens.add('a.b.c', claims, 3_600_000, 0);
    tokens.add('a.b.c', claims, 3_600_000, 60_000);
    expect(tokens.find('a.b.c', 119_999)).toBe(claims);
    expect(tokens.size).toBe(1);
  });

  it('evicts the tokens that were verified longest ago beyond the limit', () => {
    const tokens = new VerifiedTokens(2);
    for (const token of ['a', 'b', 'a', 'c']) tokens.add(token, claims, 3_600_000, 0);
    expect(tokens.size).toBe(2);
    expect(['a', 'b', 'c'].map((token) => tokens.find(token, 0) !== undefined)).toEqual([true, false, true]);
  });
});
