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

const GROUP_NAME = /^[^\p{Cc}\p{Cs},]{1,200}$/u;
/** Code units that NFC may leave 200 characters of; normalising a long text may take the square of its length. */
const MAX_GROUP_UNITS = 2 * 4 * 200;
const CANONICAL_USER_ID = /^(0|[1-9][0-9]{0,18})$/;
const MAX_OWNER_ID = 2n ** 63n - 1n;

/**
 * The canonical form (NFC) of a group's name, or null when no group can have it: 1 to 200 characters, none of them a control
 * character or a comma. The name `*` would read like everyone.
 */
export function parseGroupName(text: string): string | null {
  if (text.length > MAX_GROUP_UNITS) return null;
  const name = text.normalize('NFC');
  return GROUP_NAME.test(name) && name !== '*' ? name : null;
}

/** Canonical principals of a caller: themselves, each of their groups, and everyone. */
export const principalsOf = (actor: Actor): string[] => [
  `user:${actor.ownerId}`,
  ...actor.groups.map((group) => `group:${group}`),
  '*',
];

/**
 * The canonical form of a principal: `user:42` (no sign, no leading zero), `group:<name>` in NFC, or `*`.
 * @throws StowageError invalid PRINCIPAL_INVALID
 */
export function parsePrincipal(text: string, path?: readonly (string | number)[]): string {
  if (text === '*') return text;
  const colon = text.indexOf(':');
  const name = text.slice(colon + 1);
  if (text.startsWith('user:') && CANONICAL_USER_ID.test(name) && BigInt(name) <= MAX_OWNER_ID) return text;
  const group = text.startsWith('group:') ? parseGroupName(name) : null;
  if (group !== null) return `group:${group}`;
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
