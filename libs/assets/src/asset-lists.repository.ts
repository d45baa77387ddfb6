import { Injectable } from '@nestjs/common';
import { accessStatement, PrincipalSources } from '#libs/access';
import { columnOf, Database, statement } from '#libs/database';
import type { AssetStatus } from '#libs/domain';
import { type Asset, assetOf, type AssetRow, assetSql } from './asset.js';

type Direction = 'asc' | 'desc';

/** Properties that lists can filter by, usually most selective first. Texts are compared case-insensitively. */
export const FILTERED_PROPERTIES = [
  'title',
  'album',
  'artist',
  'cameraModel',
  'cameraMake',
  'hasLocation',
] as const;
export type FilteredProperty = (typeof FILTERED_PROPERTIES)[number];
/** Conditions that must all hold. */
export type PropertyFilter = Partial<Record<Exclude<FilteredProperty, 'hasLocation'>, string>> & {
  readonly hasLocation?: boolean;
};

/** Keyset position in a list: the instant that the list is ordered by (local time as if it were UTC), and the asset id. */
export interface ListPosition {
  readonly at: Date;
  readonly id: string;
}

/** One page of a list of an owner's assets: filter, order, start and length. */
export interface AssetListing {
  readonly ownerId: bigint;
  /** Must be distinct: a repeated status lists its assets twice. */
  readonly statuses: readonly AssetStatus[];
  /** `taken` lists only READY assets with a known local time of taking. Default `created`. */
  readonly by?: 'created' | 'taken';
  readonly order: Direction;
  /** Exclusive bounds of the instant that the list is ordered by. */
  readonly from?: Date;
  readonly to?: Date;
  /** For lists by creation. Only READY assets have properties. */
  readonly properties?: PropertyFilter;
  /** The page starts behind this position, in the given order. */
  readonly after?: ListPosition;
  readonly limit: number;
}

/** An asset with the instant that its list is ordered by. */
export interface ListedAsset {
  readonly asset: Asset;
  readonly at: Date;
}

/** A page of a list. */
export interface AssetList {
  readonly found: readonly ListedAsset[];
  /** Position at which the index scan stopped before the page was full; the list may continue behind it. Null otherwise. */
  readonly stoppedAt: ListPosition | null;
}

/**
 * Index entries that one page of a list by properties scans at most. An entry that does not match (deleted, or different in a
 * second property) costs as much as a matching one, and an owner may have 100,000 of them.
 */
export const MAX_SCANNED = 2_000;

type ListRow = AssetRow & { at: Date };

const perOrder = <Defined>(define: (order: Direction) => Defined) => ({
  asc: define('asc'),
  desc: define('desc'),
});

// Parameters of every list: owner, from, to, instant and id of the position, principals, limit; then its own.
const FIRST_OWN = 8;

// Sentinel values replace optional conditions, so that each order has one statement, which is planned once. The lateral join
// reads status by status, because then the index yields a page without passing over assets of other statuses.
export const LIST = perOrder((order) =>
  accessStatement<ListRow>(
    `assets_list_created_${order}`,
    (granted) => `select ${assetSql(granted('$6'))}, a.created_at as at
    from unnest($8::asset_status[]) as s (status), lateral (
      select * from media_assets m
      where m.owner_id = $1 and m.status = s.status and m.replaces is null and m.created_at > $2::timestamptz and m.created_at < $3::timestamptz
        and (m.created_at, m.asset_id) ${order === 'asc' ? '>' : '<'} ($4::timestamptz, $5::uuid)
      order by m.created_at ${order}, m.asset_id ${order} limit $7) a
    order by a.created_at ${order}, a.asset_id ${order} limit $7`,
  ),
);

const conditionOn = (name: FilteredProperty, parameter: number) =>
  name === 'hasLocation'
    ? `p.has_location = $${parameter}::boolean`
    : `lower(p.${columnOf(name)}) = lower($${parameter}::text)`;

/** The property or time whose index a page is read from. */
type Driver = FilteredProperty | 'taken';

const timeOf = (driver: Driver) => (driver === 'taken' ? 'p.taken_at_local' : 'p.created_at');
/** Local times have no zone; they are passed to and from the database as if they were UTC. */
const zoneOf = (driver: Driver) => (driver === 'taken' ? " at time zone 'UTC'" : '');

/** The index entries that a page scans. Has only the driver's condition: with more, the planner may choose another index. */
function scanned(driver: Driver, order: Direction, parameter: number): string {
  const at = timeOf(driver);
  const instant = (parameter: number) => `($${parameter}::timestamptz${zoneOf(driver)})`;
  return `select p.* from asset_properties p
    where p.owner_id = $1 and ${at} > ${instant(2)} and ${at} < ${instant(3)}
      and (${at}, p.asset_id) ${order === 'asc' ? '>' : '<'} (${instant(4)}, $5::uuid)
      ${driver === 'taken' ? '' : `and ${conditionOn(driver, parameter)}`}
    order by ${at} ${order}, p.asset_id ${order} limit ${MAX_SCANNED}`;
}

/** Owner and status are decided by `media_assets`; the copies in `asset_properties` only serve its indexes. */
const listBy = (driver: Driver) =>
  perOrder((order) =>
    accessStatement<ListRow>(
      `assets_list_${driver}_${order}`,
      (granted) => `select ${assetSql(granted('$6'))}, ${timeOf(driver)}${zoneOf(driver)} as at
      from (${scanned(driver, order, FIRST_OWN + FILTERED_PROPERTIES.indexOf(driver as FilteredProperty))}) p
      cross join lateral (select * from media_assets m
        where m.asset_id = p.asset_id and m.owner_id = $1 and m.status = 'READY' limit 1) a
      where ${FILTERED_PROPERTIES.map((name, index) => {
        const parameter = FIRST_OWN + index;
        const type = name === 'hasLocation' ? 'boolean' : 'text';
        return `($${parameter}::${type} is null or ${conditionOn(name, parameter)})`;
      }).join(' and ')}
      order by ${timeOf(driver)} ${order}, p.asset_id ${order} limit $7`,
    ),
  );

/** The last index entry that a page may scan; no row when the list ends before it. */
const lastBy = (driver: Driver) =>
  perOrder((order) =>
    statement<ListPosition>(
      `assets_last_${driver}_${order}`,
      `select ${timeOf(driver)}${zoneOf(driver)} as at, asset_id as id
      from (${scanned(driver, order, 6)}) p offset ${MAX_SCANNED - 1} limit 1`,
    ),
  );

const perDriver = <Value>(valueOf: (driver: Driver) => Value) =>
  Object.fromEntries(
    [...FILTERED_PROPERTIES, 'taken' as const].map((driver) => [driver, valueOf(driver)]),
  ) as Record<Driver, Value>;

export const LIST_BY = perDriver(listBy);
export const LAST_BY = perDriver(lastBy);

/** Limits the count of all properties to the index entries of one page. Of properties that reach the limit, the first is used. */
const MAX_MATCHES_COUNTED = Math.floor(MAX_SCANNED / FILTERED_PROPERTIES.length);

/** Counts the matches of each property, up to {@link MAX_MATCHES_COUNTED}. Without the order the planner may use no index. */
export const COUNT_MATCHES = statement<Record<FilteredProperty, number>>(
  'assets_count_alike',
  `select ${FILTERED_PROPERTIES.map(
    (name, index) => `(select count(*)::int from (select 1 from asset_properties p
      where p.owner_id = $1 and ${conditionOn(name, 4 + index)}
        and p.created_at > $2::timestamptz and p.created_at < $3::timestamptz
      order by p.created_at limit ${MAX_MATCHES_COUNTED}) p) as "${name}"`,
  ).join(', ')}`,
);

const ENDS = {
  asc: { at: '-infinity', id: '00000000-0000-0000-0000-000000000000' },
  desc: { at: 'infinity', id: 'ffffffff-ffff-ffff-ffff-ffffffffffff' },
};

/** Reads pages of lists from `media_assets` and `asset_properties`. */
@Injectable()
export class AssetListsRepository {
  constructor(
    private readonly database: Database,
    private readonly sources: PrincipalSources,
  ) {}

  /** @param principals the caller's, whose granted permissions the assets carry */
  async read(listing: AssetListing, principals: readonly string[]): Promise<AssetList> {
    const { ownerId, by, statuses, order, from, to, properties = {}, after, limit } = listing;
    const bounds = [ownerId, from ?? '-infinity', to ?? 'infinity'];
    const start = after ?? ENDS[order];
    const page = [...bounds, start.at, start.id, principals, limit];
    const filtered = FILTERED_PROPERTIES.filter((name) => properties[name] !== undefined);
    if (by !== 'taken' && filtered.length === 0) {
      const rows = await this.database.query(LIST[order].for(this.sources), [...page, statuses]);
      return { found: rows.map(listedOf), stoppedAt: null };
    }
    if (!statuses.includes('READY')) return { found: [], stoppedAt: null };
    const values = FILTERED_PROPERTIES.map((name) => properties[name] ?? null);
    const driver = by === 'taken' ? by : await this.mostSelective(filtered, [...bounds, ...values]);
    const rows = await this.database.query(LIST_BY[driver][order].for(this.sources), [...page, ...values]);
    const found = rows.map(listedOf);
    if (found.length === limit) return { found, stoppedAt: null };
    const value = driver === 'taken' ? [] : [properties[driver]];
    const [last = null] = await this.database.query(LAST_BY[driver][order], [
      ...bounds,
      start.at,
      start.id,
      ...value,
    ]);
    return { found, stoppedAt: last };
  }

  /** The filtered property that the fewest of the owner's assets match. */
  private async mostSelective(
    filtered: readonly FilteredProperty[],
    values: readonly unknown[],
  ): Promise<FilteredProperty> {
    if (filtered.length === 1) return filtered[0]!;
    const [counts] = await this.database.query(COUNT_MATCHES, values);
    return filtered.reduce((best, name) => (counts![name] < counts![best] ? name : best));
  }
}

const listedOf = (row: ListRow): ListedAsset => ({ asset: assetOf(row), at: row.at });
