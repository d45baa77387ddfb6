import { type Actor, type Permission, PERMISSIONS } from '#libs/domain';

/** One line of an asset's access list. */
export interface AclEntry {
  readonly principal: string;
  readonly permission: Permission;
  readonly expiresAt: Date | null;
}

/** What the decision needs to know of an asset. */
export interface Guarded {
  readonly ownerId: bigint;
  /** The permissions that the access list grants to any of the caller's principals now. */
  readonly granted: readonly Permission[];
}

/** The one decision: what the caller may do with an asset. Owners and operators may do everything. */
export function permissionsOf(actor: Actor, asset: Guarded): readonly Permission[] {
  if (actor.isAdmin || actor.ownerId === asset.ownerId) return PERMISSIONS;
  return PERMISSIONS.filter((permission) => asset.granted.includes(permission));
}

export const may = (actor: Actor, permission: Permission, asset: Guarded) =>
  permissionsOf(actor, asset).includes(permission);

/**
 * SQL of {@link Guarded.granted} as text[], for statements that read `media_assets a`; `principals` is the placeholder
 * of the caller's principals as text[].
 */
export const grantedSql = (principals: string) =>
  `array(select distinct g.permission::text from asset_acl g
     where g.asset_id = a.asset_id and g.principal = any(${principals})
       and (g.expires_at is null or g.expires_at > now()))`;
