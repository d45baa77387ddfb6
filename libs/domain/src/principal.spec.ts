import { describe, expect, it, jest } from '@jest/globals';
import { parseOwnerId, parsePrincipal, principalsOf } from './principal.js';

describe('parsePrincipal', () => {
  it.each([
    ...['*', 'user:0', 'user:42', 'user:9223372036854775807', 'group:editors', 'group:a.b:c-d_e'],
    ...[
      'group:Domain Users',
      'group:/staff/editors',
      'group:R&D',
      'group:a@b.example',
      'group:学生',
      'group:**',
    ],
    ...['group:__proto__', `group:${'x'.repeat(200)}`, `group:${'😀'.repeat(200)}`],
  ])('accepts %s', (text) => {
    expect(parsePrincipal(text)).toBe(text);
  });

  it('normalizes the name of a group to NFC', () => {
    expect(parsePrincipal('group:Re\u0301daction')).toBe('group:R\u00e9daction');
    expect(parsePrincipal(`group:${'e\u0301'.repeat(200)}`)).toBe(`group:${'é'.repeat(200)}`);
  });

  it.each([
    '',
    'user:',
    'user:042',
    'user:-1',
    'user:+1',
    'user:9223372036854775808',
    'user:x',
    'group:',
    'group:*',
    'group:a,b',
    'group:a\nb',
    'group:a\u0085b',
    'group:\ud800',
    '__proto__',
    'USER:1',
    'GROUP:a',
    '**',
    ' *',
    'albums:7',
    'albums:*',
    `group:${'x'.repeat(201)}`,
    `group:${'\u0958'.repeat(200)}`,
    `group:${'x'.repeat(1_000_000)}`,
  ])('rejects %p', (text) => {
    expect(() => parsePrincipal(text)).toThrow(expect.objectContaining({ reason: 'PRINCIPAL_INVALID' }));
  });
});

it('does not normalize an overlong group name', () => {
  const normalize = jest.spyOn(String.prototype, 'normalize');
  expect(() => parsePrincipal(`group:a${'\u0301\u0316'.repeat(1_000)}`)).toThrow();
  expect(normalize).not.toHaveBeenCalled();
  normalize.mockRestore();
});

it('lists the canonical principals of a caller', () => {
  expect(principalsOf({ ownerId: 42n, groups: ['a', 'b'], isAdmin: false })).toEqual([
    'user:42',
    'group:a',
    'group:b',
    '*',
  ]);
});

it.each(['0', '42', '9223372036854775807'])('reads the owner id %s', (text) => {
  expect(parseOwnerId(text)).toBe(BigInt(text));
});

it.each(['', '042', '-1', '+1', ' 1', '1.0', '1e3', '0x1', 'x', '9223372036854775808', '9'.repeat(100)])(
  'rejects the owner id %p',
  (text) => {
    expect(() => parseOwnerId(text)).toThrow(expect.objectContaining({ reason: 'OWNER_ID_INVALID' }));
  },
);
