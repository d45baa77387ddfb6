import { type Actor, type Permission, PERMISSIONS } from '#libs/domain';

/** The data of an asset that an access decision needs. */
export interface AccessTarget {
  readonly ownerId: bigint;
  /** Permissions that the access list currently grants to any of the caller's principals. */
  readonly granted: readonly Permission[];
}

/** The single access decision: a caller's permissions on an asset. Owners and operators have all permissions. */
export function permissionsOf(actor: Actor, asset: AccessTarget): readonly Permission[] {
  if (actor.isAdmin || actor.ownerId === asset.ownerId) return PERMISSIONS;
  return PERMISSIONS.filter((permission) => asset.granted.includes(permission));
}

/** Whether a caller has a permission on an asset. */
export const may = (actor: Actor, permission: Permission, asset: AccessTarget) =>
  permissionsOf(actor, asset).includes(permission);
