import { Injectable } from '@nestjs/common';
import { statement, type Tx } from '#libs/database';
import { invalid, type Permission } from '#libs/domain';
import { MAX_GRANTS } from './grants.js';
import { IS_CLIENT_GRANT } from './grants.sql.js';

/** Permissions for a principal on one asset. The principal is canonical, see `parsePrincipal`. */
export interface ClientGrant {
  readonly assetId: string;
  readonly principal: string;
  readonly permissions: readonly Permission[];
  /** When the grant ends; null for never. */
  readonly expiresAt: Date | null;
}

/** A statement of its own, because a statement counts only the grants that were committed before it started, even if it waits. */
const LOCK = statement<{ ownerId: bigint }>(
  'access_lock',
  `select owner_id as "ownerId" from media_assets where asset_id = $1::uuid for no key update`,
);

/** Grants on a locked asset. Expired grants are removed and do not count towards the limit. */
const GRANT = statement<{ hasRoom: boolean; changed: number }>(
  'access_grant',
  `with other as (
      select * from asset_acl g where g.asset_id = $1::uuid and ${IS_CLIENT_GRANT}
        and not (g.principal = $2 and g.permission = any($3::permission[]))),
    expired as (
      delete from asset_acl g using other o
      where g.asset_id = o.asset_id and g.principal = o.principal and g.permission = o.permission and o.expires_at <= now()),
    room as (
      select count(*) + cardinality($3::permission[]) <= ${MAX_GRANTS} as found from other o
      where o.expires_at is null or o.expires_at > now()),
    changed as (
      insert into asset_acl as g (asset_id, principal, permission, expires_at)
      select $1::uuid, $2, n.permission, $4::timestamptz from room, unnest($3::permission[]) as n (permission) where room.found
      on conflict (asset_id, principal, permission) do update set expires_at = excluded.expires_at
        where g.expires_at is distinct from excluded.expires_at
      returning 1)
    select room.found as "hasRoom", (select count(*) from changed)::int as changed from room`,
);

const REVOKE = statement<{ changed: number }>(
  'access_revoke_client',
  `with removed as (
      delete from asset_acl g where g.asset_id = $1::uuid and g.principal = $2
        and ($3::permission[] is null or g.permission = any($3::permission[])) returning 1)
    select count(*)::int as changed from removed`,
);

/**
 * Writes the grants of an access list that clients change. All methods may be repeated. The caller decides who may change the list,
 * after {@link lock}.
 */
@Injectable()
export class ClientGrantsService {
  /**
   * Locks the asset until the end of the transaction, which keeps its owner and orders concurrent changes of its access list.
   * @returns null if the asset does not exist
   */
  async lock(tx: Tx, assetId: string): Promise<{ readonly ownerId: bigint } | null> {
    const [asset = null] = await tx.$queryRawUnsafe<{ ownerId: bigint }[]>(LOCK.text, assetId);
    return asset;
  }

  /**
   * Grants permissions on the locked asset, or replaces the expiry of these permissions.
   * @returns whether a row changed
   * @throws StowageError invalid ACL_TOO_LONG when other unexpired grants leave no room for these, which must end the transaction
   */
  async grant(tx: Tx, { assetId, principal, permissions, expiresAt }: ClientGrant): Promise<boolean> {
    const [row] = await tx.$queryRawUnsafe<{ hasRoom: boolean; changed: number }[]>(
      GRANT.text,
      assetId,
      principal,
      permissions,
      expiresAt,
    );
    if (!row!.hasRoom) {
      throw invalid('ACL_TOO_LONG', `At most ${MAX_GRANTS} grants are allowed.`, ['input']);
    }
    return row!.changed > 0;
  }

  /**
   * Removes grants on the locked asset.
   * @param permissions null for all
   * @returns whether a row was removed
   */
  async revoke(
    tx: Tx,
    { assetId, principal }: Pick<ClientGrant, 'assetId' | 'principal'>,
    permissions: readonly Permission[] | null,
  ): Promise<boolean> {
    const [row] = await tx.$queryRawUnsafe<{ changed: number }[]>(
      REVOKE.text,
      assetId,
      principal,
      permissions,
    );
    return row!.changed > 0;
  }
}
