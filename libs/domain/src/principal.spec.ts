import { describe, expect, it } from '@jest/globals';
import { parseGrant, parsePrincipal, principalsOf } from './principal.js';

describe('parsePrincipal', () => {
  it.each(['*', 'user:0', 'user:42', 'user:9223372036854775807', 'group:editors', 'group:a.b:c-d_e'])(
    'takes %s',
    (text) => {
      expect(parsePrincipal(text)).toBe(text);
    },
  );

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
    'group:a b',
    '__proto__',
    'USER:1',
    '**',
    ' *',
    `group:${'x'.repeat(129)}`,
  ])('refuses %p', (text) => {
    expect(() => parsePrincipal(text)).toThrow(expect.objectContaining({ reason: 'PRINCIPAL_INVALID' }));
  });
});

describe('parseGrant', () => {
  it('gives everyone READ only', () => {
    expect(parseGrant({ principal: '*', permissions: ['READ'] }, [])).toEqual({
      principal: '*',
      permissions: ['READ'],
    });
    expect(() => parseGrant({ principal: '*', permissions: ['READ', 'WRITE'] }, [])).toThrow(
      expect.objectContaining({ reason: 'GRANT_TO_EVERYONE' }),
    );
  });

  it('needs a permission', () => {
    expect(() => parseGrant({ principal: 'user:1', permissions: [] }, [])).toThrow(
      expect.objectContaining({ reason: 'PERMISSIONS_EMPTY' }),
    );
  });
});

it('names a caller as access lists do', () => {
  expect(principalsOf({ ownerId: 42n, groups: ['a', 'b'], isAdmin: false })).toEqual([
    'user:42',
    'group:a',
    'group:b',
    '*',
  ]);
});
