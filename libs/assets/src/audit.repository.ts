import { Injectable } from '@nestjs/common';
import { Database, type OwnerQuota, statement, type StoredObject, type Tx } from '#libs/database';
import { HOLDS_RESERVATION } from './asset-transitions.service.js';

/** Rows of a page. */
const PAGE = 1_000;
/**
 * Assets that a page counts, except that it counts all assets of one row: a popular object or a large owner. Counting 1,000,000 assets of
 * one row took 0.7 to 2.4 s, a quarter of the limit of a statement.
 */
const PAGE_ASSETS = 100_000;

/** The ids of a page whose counts differ. `last` is null after the last page. */
export interface AuditPage {
  readonly last: bigint | null;
  readonly examined: number;
  readonly differing: readonly bigint[];
}

type PageRow = Omit<AuditPage, 'differing'> & { readonly differing: readonly string[] };

/** The ids are text: the clients read arrays of numbers differently. */
const RESULT = `select max(id) as last, count(*)::int as examined,
      coalesce(array_agg(id::text order by id) filter (where differs), '{}') as differing from compared`;

/** Takes rows of a page until they have {@link PAGE_ASSETS}, and one row at least. */
const TAKEN = `taken as (
      select * from (select p.*, sum(assets) over (order by id) - assets as assets_before from page p) bounded
      where assets_before < ${PAGE_ASSETS})`;

export const COMPARE_REFERENCES = statement<PageRow>(
  'audit_compare_references',
  `with page as (
      select id, ref_count, ref_count as assets from stored_objects where id > $1 order by id limit ${PAGE}),
    ${TAKEN},
    compared as (
      select t.id, t.ref_count <> (select count(*) from media_assets a where a.stored_object_id = t.id) as differs from taken t)
    ${RESULT}`,
);

const RESERVING = [...HOLDS_RESERVATION].map((status) => `'${status}'`).join(', ');

/** The usage that the assets of an owner make, as the columns of owner_quotas. A deleted asset counts until it is purged. */
const usageOf = (owner: string) => `select
      coalesce(sum(size_bytes) filter (where stored_object_id is not null), 0)::bigint as used_bytes,
      count(*) filter (where stored_object_id is not null)::int as used_assets,
      coalesce(sum(size_bytes) filter (where status in (${RESERVING})), 0)::bigint as reserved_bytes,
      count(*) filter (where status in (${RESERVING}))::int as reserved_assets
    from media_assets where owner_id = ${owner}`;

const USAGE = (alias: string) =>
  `row(${alias}.used_bytes, ${alias}.used_assets, ${alias}.reserved_bytes, ${alias}.reserved_assets)`;

/** Includes owners that have assets and no quota row: a loose index scan, one index probe for each owner. */
export const COMPARE_QUOTAS = statement<PageRow>(
  'audit_compare_quotas',
  `with recursive holders as (
      (select owner_id from media_assets where owner_id > $1 order by owner_id limit 1)
      union all
      select (select a.owner_id from media_assets a where a.owner_id > h.owner_id order by a.owner_id limit 1)
      from holders h where h.owner_id is not null),
    owners as (
      (select owner_id from holders where owner_id is not null limit ${PAGE})
      union
      (select owner_id from owner_quotas where owner_id > $1 order by owner_id limit ${PAGE})),
    page as (
      select o.owner_id as id, q.used_bytes, q.used_assets, q.reserved_bytes, q.reserved_assets,
        coalesce(q.used_assets + q.reserved_assets, 0) as assets
      from (select owner_id from owners order by owner_id limit ${PAGE}) o left join owner_quotas q using (owner_id)),
    ${TAKEN},
    compared as (
      select t.id, ${USAGE('t')} is distinct from ${USAGE('m')} as differs
      from taken t cross join lateral (${usageOf('t.id')}) m)
    ${RESULT}`,
);

/** A count before and after its correction. */
export interface Correction<Count> {
  readonly was: Count;
  readonly is: Count;
}

type Counted = Pick<StoredObject, 'refCount'>;
export type Usage = Pick<OwnerQuota, 'usedBytes' | 'usedAssets' | 'reservedBytes' | 'reservedAssets'>;

const LOCK_OBJECT = statement<Counted>(
  'audit_lock_object',
  'select ref_count as "refCount" from stored_objects where id = $1 for update',
);

/**
 * An object without references becomes collectable, though not at once: a restored database may refer to its bytes. The pin of an object
 * in DELETING is the lease of its collector.
 */
const CORRECT_REFERENCES = statement<Counted>(
  'audit_correct_references',
  `update stored_objects o set ref_count = c.count,
      pinned_until = case when c.count = 0 and o.state in ('STAGING', 'LIVE', 'CORRUPT')
        then greatest(o.pinned_until, $2::timestamptz) else o.pinned_until end
    from (select count(*)::int as count from media_assets where stored_object_id = $1) c
    where o.id = $1 and o.ref_count <> c.count returning o.ref_count as "refCount"`,
);

const ADD_OWNER = statement<never>(
  'audit_add_owner',
  'insert into owner_quotas (owner_id) values ($1) on conflict do nothing',
);

const USAGE_COLUMNS = (
  alias: string,
) => `${alias}.used_bytes as "usedBytes", ${alias}.used_assets as "usedAssets",
      ${alias}.reserved_bytes as "reservedBytes", ${alias}.reserved_assets as "reservedAssets"`;

const LOCK_QUOTA = statement<Usage>(
  'audit_lock_quota',
  `select ${USAGE_COLUMNS('q')} from owner_quotas q where owner_id = $1 for update`,
);

const CORRECT_QUOTA = statement<Usage>(
  'audit_correct_quota',
  `update owner_quotas q set used_bytes = m.used_bytes, used_assets = m.used_assets, reserved_bytes = m.reserved_bytes,
      reserved_assets = m.reserved_assets
    from (${usageOf('$1')}) m
    where q.owner_id = $1 and ${USAGE('q')} is distinct from ${USAGE('m')} returning ${USAGE_COLUMNS('q')}`,
);

/**
 * Compares the counts of stored objects and quotas with the assets, and corrects them. The statements span the tables of three libs: the
 * two sides of a comparison must come from one snapshot.
 *
 * A correction locks the row of the count first and counts in a later statement. Each transaction that changes which assets count also
 * changes the count, by a relative amount, in the row that is locked here. So a transaction that waits for the lock is not in the counted
 * assets and adds its change afterwards; one that had the lock before has committed, so its assets are counted.
 */
@Injectable()
export class AuditRepository {
  constructor(private readonly database: Database) {}

  /** Compares the reference counts of a page of stored objects. */
  compareReferences(after: bigint): Promise<AuditPage> {
    return this.compare(COMPARE_REFERENCES, after);
  }

  /** Compares the usage of a page of owners. */
  compareQuotas(after: bigint): Promise<AuditPage> {
    return this.compare(COMPARE_QUOTAS, after);
  }

  /** Corrects the reference count of an object. @returns null if it is right or the object does not exist */
  async correctReferences(tx: Tx, id: bigint, pinnedUntil: Date): Promise<Correction<number> | null> {
    const [before] = await this.database.query(LOCK_OBJECT, [id], tx);
    const [after] = await this.database.query(CORRECT_REFERENCES, [id, pinnedUntil], tx);
    return before && after ? { was: before.refCount, is: after.refCount } : null;
  }

  /** Corrects the usage of an owner. @returns null if it is right */
  async correctQuota(tx: Tx, ownerId: bigint): Promise<Correction<Usage> | null> {
    await tx.$executeRawUnsafe(ADD_OWNER.text, ownerId);
    const [was] = await this.database.query(LOCK_QUOTA, [ownerId], tx);
    const [is] = await this.database.query(CORRECT_QUOTA, [ownerId], tx);
    return was && is ? { was, is } : null;
  }

  private async compare(text: typeof COMPARE_REFERENCES, after: bigint): Promise<AuditPage> {
    const [{ last, examined, differing }] = (await this.database.query(text, [after])) as [PageRow];
    return { last, examined, differing: differing.map(BigInt) };
  }
}
