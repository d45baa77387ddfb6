import { type Actor, type AssetStatus, type Permission, PERMISSIONS } from '#libs/domain';

/** A permission that an access list currently grants to a caller. */
export interface GrantedPermission {
  readonly permission: Permission;
  /** When the last of the grants ends; null for never. */
  readonly until: Date | null;
  /** Whether the caller holds the principal by a share of a feature, which can end without an event. */
  readonly byShare: boolean;
}

/** The data of an asset that an access decision needs. */
export interface AccessTarget {
  readonly ownerId: bigint;
  readonly status: AssetStatus;
  /** Permissions that the access list currently grants to any of the caller's principals. */
  readonly granted: readonly GrantedPermission[];
}

/** The caller's properties that an access decision needs. */
export type AccessCaller = Pick<Actor, 'ownerId' | 'isAdmin'>;

type Required = Readonly<Record<Permission, readonly (readonly Permission[])[]>>;

const REQUIRED: Required = { READ: [PERMISSIONS], WRITE: [['WRITE']], DELETE: [['DELETE']] };
/** A deleted asset exists only for callers who may delete, and so restore, it. */
const REQUIRED_OF_DELETED: Required = {
  READ: [['DELETE']],
  WRITE: [['WRITE'], ['DELETE']],
  DELETE: [['DELETE']],
};

/** The grants that a permission on an asset of this status requires: one of each list. */
export const requiredGrants = (status: AssetStatus, permission: Permission) =>
  (status === 'DELETED' ? REQUIRED_OF_DELETED : REQUIRED)[permission];

/**
 * The single access decision. Owners and operators have all permissions, all others those that are granted to them.
 * @returns the time at which the permission ends, in milliseconds since the epoch: Infinity for never, -Infinity without permission
 */
export function permittedUntil(actor: AccessCaller, permission: Permission, asset: AccessTarget): number {
  if (actor.isAdmin || actor.ownerId === asset.ownerId) return Infinity;
  if (asset.granted.length === 0) return -Infinity;
  const ends = requiredGrants(asset.status, permission).map((permissions) =>
    Math.max(
      ...asset.granted.map((grant) => (permissions.includes(grant.permission) ? endOf(grant) : -Infinity)),
    ),
  );
  return Math.min(...ends);
}

/** A caller's permissions on an asset. */
export const permissionsOf = (actor: AccessCaller, asset: AccessTarget): readonly Permission[] =>
  PERMISSIONS.filter((permission) => may(actor, permission, asset));

/** Whether a caller has a permission on an asset. */
export const may = (actor: AccessCaller, permission: Permission, asset: AccessTarget): boolean =>
  permittedUntil(actor, permission, asset) > -Infinity;

/** Until when a caller may read an asset; see {@link permittedUntil}. A URL or stream for the caller must end then. */
export const readableUntil = (actor: AccessCaller, asset: AccessTarget): number =>
  permittedUntil(actor, 'READ', asset);

/** Whether a caller's access would end, or end earlier, without shares of features. */
export const dependsOnShares = (actor: AccessCaller, asset: AccessTarget): boolean =>
  readableUntil(actor, { ...asset, granted: asset.granted.filter(({ byShare }) => !byShare) }) <
  readableUntil(actor, asset);

/** When the first of the caller's grants on an asset ends, in milliseconds since the epoch: Infinity for never. */
export const firstEndOf = ({ granted }: Pick<AccessTarget, 'granted'>): number =>
  Math.min(...granted.map(endOf));

const endOf = ({ until }: GrantedPermission) => until?.getTime() ?? Infinity;
