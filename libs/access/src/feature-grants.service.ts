import { Injectable } from '@nestjs/common';
import { statement, type Tx } from '#libs/database';
import { invalid, isAssetId } from '#libs/domain';
import { MAX_FEATURE_GRANTS } from './grants.js';
import { IS_FEATURE_GRANT } from './grants.sql.js';
import { PrincipalSources } from './principal-sources.js';

/** Assets of one call, and grants that one call of `revokeAll` removes. */
export const FEATURE_GRANT_BATCH = 1_000;

/** READ for a principal of a feature. */
export interface FeatureGrant {
  /** The granter, who must own the assets. */
  readonly ownerId: bigint;
  /** For example `albums:7`. */
  readonly principal: string;
  /** {@link FEATURE_GRANT_BATCH} at most. */
  readonly assetIds: readonly string[];
  /** When the grant ends; null or absent for never. */
  readonly expiresAt?: Date | null;
}

/**
 * The lock keeps the assets and their owner until the end of the transaction, and orders concurrent grants on one asset. It is a
 * statement of its own, because a statement counts only the grants that were committed before it started, even if it waits.
 */
const LOCK_OWNED = statement<{ id: string }>(
  'access_lock_owned',
  `select asset_id as id from media_assets where asset_id = any($1::uuid[]) and owner_id = $2
    order by asset_id for no key update`,
);

/** SQL that writes an event for each asset of a relation with the columns `id` and `owner`. */
const appendEvents = (changed: string) =>
  `insert into domain_events (type, asset_id, owner_id) select 'asset.access-changed', c.id, c.owner from ${changed} c`;

/** Grants on the locked assets. Expired grants of other principals are removed and do not count towards the limit. */
const GRANT = statement<{ id: string }>(
  'access_grant_feature',
  `with target as (select unnest($1::uuid[]) as id),
    own as (select g.* from target t join asset_acl g on g.asset_id = t.id where g.principal = $2 and g.permission = 'READ'),
    other as (select g.* from target t join asset_acl g on g.asset_id = t.id where ${IS_FEATURE_GRANT} and g.principal <> $2),
    expired as (
      delete from asset_acl g using other o
      where g.asset_id = o.asset_id and g.principal = o.principal and g.permission = o.permission and o.expires_at <= now()),
    granted as (
      insert into asset_acl (asset_id, principal, permission, expires_at)
      select t.id, $2, 'READ', $3::timestamptz from target t
      where (select count(*) from other o
        where o.asset_id = t.id and (o.expires_at is null or o.expires_at > now())) < ${MAX_FEATURE_GRANTS}
      on conflict (asset_id, principal, permission) do update set expires_at = excluded.expires_at
      returning asset_id as id),
    changed as (
      select n.id, $4::bigint as owner from granted n left join own o on o.asset_id = n.id
      where o.asset_id is null or o.expires_at is distinct from $3::timestamptz),
    logged as (${appendEvents('changed')})
    select id from granted`,
);

/** Locks rows in id order, so that two of these statements cannot deadlock. */
const removal = (name: string, condition: string) =>
  statement<{ removed: number }>(
    name,
    `with removed as (
      delete from asset_acl where (asset_id, principal, permission) in (
        select g.asset_id, g.principal, g.permission from asset_acl g where ${IS_FEATURE_GRANT} and ${condition} for update)
      returning asset_id),
    changed as (
      select a.asset_id as id, a.owner_id as owner from media_assets a where a.asset_id in (select asset_id from removed)),
    logged as (${appendEvents('changed')})
    select count(*)::int as removed from removed`,
  );

const REVOKE = removal(
  'access_revoke',
  'g.principal = $1 and g.asset_id = any($2::uuid[]) order by g.asset_id, g.permission',
);
const REVOKE_ALL = removal(
  'access_revoke_all',
  `g.principal = $1 order by g.asset_id, g.permission limit ${FEATURE_GRANT_BATCH}`,
);
const CLEAR = removal(
  'access_clear',
  'g.asset_id = any($1::uuid[]) order by g.asset_id, g.principal, g.permission',
);

/**
 * Grants READ on assets to principals of features, which a `PrincipalSource` declares. All methods may be repeated. They lock assets
 * first, so call them before the transaction locks stored objects or quotas. They write the event `asset.access-changed` for each
 * asset whose access list changes.
 * @example
 * await database.transaction(async (tx) => {
 *   await this.items.add(tx, albumId, assetIds);
 *   const granted = await this.grants.grant(tx, { ownerId: actor.ownerId, principal: `albums:${albumId}`, assetIds });
 *   if (granted.length < assetIds.length) throw assetNotFound();
 * });
 */
@Injectable()
export class FeatureGrantsService {
  constructor(private readonly sources: PrincipalSources) {}

  /**
   * Grants READ on the assets that exist and that `ownerId` owns, or changes the expiry of the grant. Writes nothing for other ids.
   * @returns the ids of the granted assets, in any order
   * @throws StowageError invalid GRANT_LIMIT when an asset already has {@link MAX_FEATURE_GRANTS} unexpired grants to principals of
   * features, which must end the transaction; Error if no source has the principal, or there are too many assets
   */
  async grant(tx: Tx, { ownerId, principal, assetIds, expiresAt = null }: FeatureGrant): Promise<string[]> {
    this.check(principal, assetIds);
    const owned = await tx.$queryRawUnsafe<{ id: string }[]>(
      LOCK_OWNED.text,
      assetIds.filter(isAssetId),
      ownerId,
    );
    const ids = owned.map(({ id }) => id);
    if (ids.length === 0) return [];
    const granted = await tx.$queryRawUnsafe<{ id: string }[]>(
      GRANT.text,
      ids,
      principal,
      expiresAt,
      ownerId,
    );
    if (granted.length < ids.length) {
      throw invalid(
        'GRANT_LIMIT',
        `Features can share an asset in at most ${MAX_FEATURE_GRANTS} ways at once.`,
      );
    }
    return ids;
  }

  /**
   * Removes the principal's grants on these assets.
   * @throws Error if no source has the principal, or there are too many assets
   */
  async revoke(tx: Tx, principal: string, assetIds: readonly string[]): Promise<void> {
    this.check(principal, assetIds);
    await tx.$queryRawUnsafe(REVOKE.text, principal, assetIds.filter(isAssetId));
  }

  /**
   * Removes up to {@link FEATURE_GRANT_BATCH} of the principal's grants. Repeat it, each time in a new transaction, until it returns 0.
   * @returns the number of removed grants
   * @throws Error if no source has the principal
   * @example while ((await database.transaction((tx) => grants.revokeAll(tx, 'albums:7'))) > 0);
   */
  async revokeAll(tx: Tx, principal: string): Promise<number> {
    this.check(principal);
    const [row] = await tx.$queryRawUnsafe<{ removed: number }[]>(REVOKE_ALL.text, principal);
    return row!.removed;
  }

  /** Removes the grants of all features on these assets, as a change of their owner requires. @throws Error if there are too many */
  async clear(tx: Tx, assetIds: readonly string[]): Promise<void> {
    checkCount(assetIds);
    await tx.$queryRawUnsafe(CLEAR.text, assetIds.filter(isAssetId));
  }

  private check(principal: string, assetIds: readonly string[] = []): void {
    if (!this.sources.includes(principal)) throw new Error('No principal source has this principal.');
    checkCount(assetIds);
  }
}

function checkCount({ length }: readonly string[]): void {
  if (length > FEATURE_GRANT_BATCH)
    throw new Error(`One call accepts ${FEATURE_GRANT_BATCH} assets, not ${length}.`);
}
