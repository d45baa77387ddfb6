import { Injectable } from '@nestjs/common';
import { Database, statement } from '#libs/database';
import { ASSET_STATUSES, type AssetStatus } from '#libs/domain';
import { type Asset, ASSET_COLUMNS, assetOf, type AssetRow } from './asset.js';

/** Statuses whose assets have an index of their own, because operators look for them among all assets. */
const UNSUCCESSFUL: readonly AssetStatus[] = ['REJECTED', 'FAILED', 'EXPIRED', 'CANCELLED'];

/** Index entries that one page of the assets of all owners examines at most. */
export const MAX_EXAMINED = 2_000;

/** Position in a list, newest first. Lists of all owners are ordered by the id alone, which begins with the time of creation. */
export interface AdminPosition {
  readonly createdAt: Date;
  readonly id: string;
}

export interface AdminListing {
  readonly ownerId: bigint | null;
  /** Null for all. Must be distinct. */
  readonly statuses: readonly AssetStatus[] | null;
  /** The page starts behind this position. */
  readonly after: AdminPosition | null;
  readonly limit: number;
}

/** A page of a list. */
export interface AdminPage {
  readonly found: readonly Asset[];
  /** Id of the last examined asset if the page ended before it was full; the list may continue behind it. Null otherwise. */
  readonly stoppedAt: string | null;
}

/** Each status is an index scan of at most one page, so that no entry of another status is read. */
export const LIST_OWNER = statement<AssetRow>(
  'assets_admin_list_owner',
  `select ${ASSET_COLUMNS} from unnest($2::asset_status[]) as s (status), lateral (
      select * from media_assets m
      where m.owner_id = $1 and m.status = s.status and (m.created_at, m.asset_id) < ($3::timestamptz, $4::uuid)
      order by m.created_at desc, m.asset_id desc limit $5) a
    order by a.created_at desc, a.asset_id desc limit $5`,
);

/** Repeats the condition of the partial index, which the planner does not derive from the array. */
export const LIST_UNSUCCESSFUL = statement<AssetRow>(
  'assets_admin_list_unsuccessful',
  `select ${ASSET_COLUMNS} from unnest($1::asset_status[]) as s (status), lateral (
      select * from media_assets m
      where m.status = s.status and m.status in (${UNSUCCESSFUL.map((status) => `'${status}'`).join(', ')})
        and m.asset_id < $2::uuid
      order by m.asset_id desc limit $3) a
    order by a.asset_id desc limit $3`,
);

/**
 * Reads a page and the last entry that it may examine in one statement, so that no asset is removed in between. The entry is null when
 * the list ends before it. At least one row.
 */
export const LIST_ALL = statement<{ last: string | null } & (AssetRow | { assetId: null })>(
  'assets_admin_list_all',
  `with e as materialized (
      select * from media_assets m where m.asset_id < $1::uuid order by m.asset_id desc limit ${MAX_EXAMINED})
    select l.last, p.* from (
        select case when count(*) = ${MAX_EXAMINED} then (select asset_id from e order by asset_id limit 1) end as last from e) l
      left join lateral (
        select ${ASSET_COLUMNS} from e a where a.status = any($2::asset_status[]) order by a.asset_id desc limit $3) p on true
    order by p."assetId" desc`,
);

const START = { createdAt: 'infinity', id: 'ffffffff-ffff-ffff-ffff-ffffffffffff' };

/** Lists assets of any owner for operators. */
@Injectable()
export class AdminAssetsRepository {
  constructor(private readonly database: Database) {}

  /** @throws StowageError unavailable */
  async read({ ownerId, statuses, after, limit }: AdminListing): Promise<AdminPage> {
    const wanted = statuses ?? ASSET_STATUSES;
    const start = after ?? START;
    if (ownerId !== null) {
      return this.page(LIST_OWNER, [ownerId, wanted, start.createdAt, start.id, limit]);
    }
    if (wanted.every((status) => UNSUCCESSFUL.includes(status))) {
      return this.page(LIST_UNSUCCESSFUL, [wanted, start.id, limit]);
    }
    const rows = await this.database.query(LIST_ALL, [start.id, wanted, limit]);
    const found = rows.flatMap((row) => (row.assetId === null ? [] : assetOf(row)));
    return { found, stoppedAt: found.length === limit ? null : rows[0]!.last };
  }

  private async page(list: typeof LIST_OWNER, values: readonly unknown[]): Promise<AdminPage> {
    const rows = await this.database.query(list, values);
    return { found: rows.map(assetOf), stoppedAt: null };
  }
}
