import { describe, expect, it } from '@jest/globals';
import { type GrantInput, MAX_GRANTS, parseGrants } from './grants.js';

const usersOf = (count: number): GrantInput[] =>
  Array.from({ length: count }, (_, index) => ({ principal: `user:${index + 1}`, permissions: ['READ'] }));

describe('parseGrants', () => {
  it('splits permissions into single grants', () => {
    const expiresAt = new Date(0);
    const inputs: GrantInput[] = [
      { principal: 'user:1', permissions: ['READ', 'WRITE', 'READ'], expiresAt },
      { principal: '*', permissions: ['READ'] },
    ];
    expect(parseGrants(inputs, [])).toEqual([
      { principal: 'user:1', permission: 'READ', expiresAt },
      { principal: 'user:1', permission: 'WRITE', expiresAt },
      { principal: '*', permission: 'READ', expiresAt: null },
    ]);
  });

  it('accepts the largest access list', () => {
    expect(parseGrants(usersOf(MAX_GRANTS), [])).toHaveLength(MAX_GRANTS);
  });

  it.each<[string, string, GrantInput[], (string | number)[]]>([
    [
      'an invalid principal',
      'PRINCIPAL_INVALID',
      [{ principal: 'user:01', permissions: ['READ'] }],
      ['acl', 0, 'principal'],
    ],
    [
      'no permissions',
      'PERMISSIONS_EMPTY',
      [{ principal: 'user:1', permissions: [] }],
      ['acl', 0, 'permissions'],
    ],
    [
      'WRITE for everyone',
      'GRANT_TO_EVERYONE',
      [{ principal: '*', permissions: ['READ', 'WRITE'] }],
      ['acl', 0, 'permissions'],
    ],
    ['a grant twice', 'GRANT_TWICE', [...usersOf(1), ...usersOf(1)], ['acl', 1]],
    ['too many inputs', 'ACL_TOO_LONG', usersOf(MAX_GRANTS + 1), ['acl']],
    [
      'too many permissions',
      'ACL_TOO_LONG',
      usersOf(MAX_GRANTS / 2 + 1).map((input) => ({ ...input, permissions: ['READ', 'WRITE'] })),
      ['acl'],
    ],
  ])('rejects %s', (_, reason, inputs, path) => {
    expect(() => parseGrants(inputs, ['acl'])).toThrow(expect.objectContaining({ reason, inputPath: path }));
  });
});
