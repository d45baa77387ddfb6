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

const EXAMINED = `select * from media_assets m where m.asset_id < $1::uuid order by m.asset_id desc limit ${MAX_EXAMINED}`;

export const LIST_ALL = statement<AssetRow>(
  'assets_admin_list_all',
  `select ${ASSET_COLUMNS} from (${EXAMINED}) a where a.status = any($2::asset_status[])
    order by a.asset_id desc limit $3`,
);

/** The last entry that a page may examine; no row when the list ends before it. */
export const LAST_EXAMINED = statement<{ id: string }>(
  'assets_admin_last_examined',
  `select a.asset_id as id from (${EXAMINED}) a offset ${MAX_EXAMINED - 1} limit 1`,
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
    const page = await this.page(LIST_ALL, [start.id, wanted, limit]);
    if (statuses === null || page.found.length === limit) return page;
    const [last] = await this.database.query(LAST_EXAMINED, [start.id]);
    return { ...page, stoppedAt: last?.id ?? null };
  }

  private async page(list: typeof LIST_ALL, values: readonly unknown[]): Promise<AdminPage> {
    const rows = await this.database.query(list, values);
    return { found: rows.map(assetOf), stoppedAt: null };
  }
}
