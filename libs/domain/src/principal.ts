import { invalid } from './errors.js';

export const PERMISSIONS = ['READ', 'WRITE', 'DELETE'] as const;
export type Permission = (typeof PERMISSIONS)[number];

/** The caller, as every lib above `identity` sees them. */
export interface Actor {
  readonly ownerId: bigint;
  readonly groups: readonly string[];
  readonly isAdmin: boolean;
  /** The subject of the service that acts for the owner, where one does. */
  readonly delegate?: string;
  /** When the caller's token ends, and with it whatever was begun in its name. */
  readonly until?: Date;
}

const GROUP_NAME = /^[A-Za-z0-9_.:-]{1,128}$/;
const CANONICAL_USER_ID = /^(0|[1-9][0-9]{0,18})$/;
const MAX_OWNER_ID = 2n ** 63n - 1n;

export const isGroupName = (name: string) => GROUP_NAME.test(name);

/** Canonical principals of a caller: themselves, each of their groups, and everyone. */
export const principalsOf = (actor: Actor): string[] => [
  `user:${actor.ownerId}`,
  ...actor.groups.map((group) => `group:${group}`),
  '*',
];

/**
 * Returns the principal if it is canonical: `user:42` (no sign, no leading zero), `group:editors`, or `*`.
 * @throws StowageError invalid PRINCIPAL_INVALID
 */
export function parsePrincipal(text: string, path?: readonly (string | number)[]): string {
  if (text === '*') return text;
  const colon = text.indexOf(':');
  const name = text.slice(colon + 1);
  if (text.startsWith('user:') && CANONICAL_USER_ID.test(name) && BigInt(name) <= MAX_OWNER_ID) return text;
  if (text.startsWith('group:') && isGroupName(name)) return text;
  throw invalid('PRINCIPAL_INVALID', 'A principal is user:<id>, group:<name> or *.', path);
}

/**
 * Checks that a grant may be written: everyone (`*`) can be given READ only.
 * @throws StowageError invalid PRINCIPAL_INVALID, GRANT_TO_EVERYONE
 */
export function parseGrant(
  grant: { principal: string; permissions: readonly Permission[] },
  path: readonly (string | number)[],
): { principal: string; permissions: Permission[] } {
  const principal = parsePrincipal(grant.principal, [...path, 'principal']);
  if (grant.permissions.length === 0) {
    throw invalid('PERMISSIONS_EMPTY', 'A grant names at least one permission.', [...path, 'permissions']);
  }
  if (principal === '*' && grant.permissions.some((permission) => permission !== 'READ')) {
    throw invalid('GRANT_TO_EVERYONE', 'Everyone (*) can be granted READ only.', [...path, 'permissions']);
  }
  return { principal, permissions: [...new Set(grant.permissions)] };
}
