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
  it('knows a token for a minute, by all of its characters', () => {
    const tokens = new VerifiedTokens();
    tokens.add('a.b.c', claims, 3_600_000, 0);
    expect(tokens.find('a.b.c', 59_999)).toBe(claims);
    expect(tokens.find('a.b.c', 60_000)).toBeUndefined();
    expect(tokens.find('a.b.d', 0)).toBeUndefined();
    expect(tokens.find('a.b.', 0)).toBeUndefined();
  });

  it('knows no token past its expiry', () => {
    const tokens = new VerifiedTokens();
    tokens.add('a.b.c', claims, 10_000, 0);
    expect(tokens.find('a.b.c', 9_999)).toBe(claims);
    expect(tokens.find('a.b.c', 10_000)).toBeUndefined();
  });

  it('takes a token that was verified again for another minute', () => {
    const tokens = new VerifiedTokens();
    tokens.add('a.b.c', claims, 3_600_000, 0);
    tokens.add('a.b.c', claims, 3_600_000, 60_000);
    expect(tokens.find('a.b.c', 119_999)).toBe(claims);
    expect(tokens.size).toBe(1);
  });

  it('remembers so many and no more, those that were verified last', () => {
    const tokens = new VerifiedTokens(2);
    for (const token of ['a', 'b', 'a', 'c']) tokens.add(token, claims, 3_600_000, 0);
    expect(tokens.size).toBe(2);
    expect(['a', 'b', 'c'].map((token) => tokens.find(token, 0) !== undefined)).toEqual([true, false, true]);
  });
});
