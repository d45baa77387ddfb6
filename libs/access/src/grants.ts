import { invalid, parsePrincipal, type Permission } from '#libs/domain';

/** One grant in an asset's access list. */
export interface Grant {
  readonly principal: string;
  readonly permission: Permission;
  /** When the grant ends; null for never. */
  readonly expiresAt: Date | null;
}

/** Several permissions for one principal, as clients send them. */
export interface GrantInput {
  readonly principal: string;
  readonly permissions: readonly Permission[];
  readonly expiresAt?: Date | null;
}

/** Grants of one access list that clients write. */
export const MAX_GRANTS = 200;
/** Grants on one asset to principals of features, in addition to {@link MAX_GRANTS}. Limits the work of each read of the asset. */
export const MAX_FEATURE_GRANTS = 50;

/**
 * Validates an access list and splits it into single grants.
 * @param path of the list in the client's input
 * @throws StowageError invalid PRINCIPAL_INVALID, PERMISSIONS_EMPTY, GRANT_TO_EVERYONE, GRANT_TWICE, ACL_TOO_LONG
 */
export function parseGrants(inputs: readonly GrantInput[], path: readonly (string | number)[]): Grant[] {
  const grants = new Map<string, Grant>();
  const tooLong = () => invalid('ACL_TOO_LONG', `At most ${MAX_GRANTS} grants are allowed.`, path);
  // Each input yields at least one grant, so this check bounds the loop.
  if (inputs.length > MAX_GRANTS) throw tooLong();
  inputs.forEach((input, index) => {
    const { principal, permissions } = parseGrant(input, [...path, index]);
    for (const permission of permissions) {
      const key = `${principal} ${permission}`;
      if (grants.has(key)) {
        throw invalid('GRANT_TWICE', `${principal} is granted ${permission} twice.`, [...path, index]);
      }
      grants.set(key, { principal, permission, expiresAt: input.expiresAt ?? null });
    }
  });
  if (grants.size > MAX_GRANTS) throw tooLong();
  return [...grants.values()];
}

/**
 * Validates the principal and the permissions of one input. Everyone (`*`) can be granted READ only.
 * @param path of the input
 * @throws StowageError invalid PRINCIPAL_INVALID, PERMISSIONS_EMPTY, GRANT_TO_EVERYONE
 */
export function parseGrant(
  input: Pick<GrantInput, 'principal' | 'permissions'>,
  path: readonly (string | number)[],
): { principal: string; permissions: ReadonlySet<Permission> } {
  const principal = parsePrincipal(input.principal, [...path, 'principal']);
  const at = [...path, 'permissions'];
  if (input.permissions.length === 0) {
    throw invalid('PERMISSIONS_EMPTY', 'A grant must name at least one permission.', at);
  }
  if (principal === '*' && input.permissions.some((permission) => permission !== 'READ')) {
    throw invalid('GRANT_TO_EVERYONE', 'Everyone (*) can be granted READ only.', at);
  }
  return { principal, permissions: new Set(input.permissions) };
}
