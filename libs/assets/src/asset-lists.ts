import type { Statement } from '#libs/database';
import type { AssetStatus } from '#libs/domain';
import { type Asset, type AssetRow, assetSql } from './asset.js';

type Direction = 'asc' | 'desc';

/** Properties that can be asked for, those first of which an owner has the fewest alike; texts in any case. */
export const FILTERED_PROPERTIES = [
  'title',
  'album',
  'artist',
  'cameraModel',
  'cameraMake',
  'hasLocation',
] as const;
export type FilteredProperty = (typeof FILTERED_PROPERTIES)[number];
/** All of these. */
export type PropertyFilter = Partial<Record<Exclude<FilteredProperty, 'hasLocation'>, string>> & {
  readonly hasLocation?: boolean;
};

/** Where an asset stands in a list: the instant that the list is ordered by (local time as if it were UTC), and its id. */
export interface Place {
  readonly at: Date;
  readonly id: string;
}

/** Which assets of an owner, in which order, and which page of them. */
export interface AssetListing {
  readonly ownerId: bigint;
  /** Each once: what comes twice is listed twice. */
  readonly statuses: readonly AssetStatus[];
  /** `taken` lists READY assets alone of which it is known when they were taken. Default `created`. */
  readonly by?: 'created' | 'taken';
  readonly order: Direction;
  /** Bounds, themselves not included, of the instant that the list is ordered by. */
  readonly from?: Date;
  readonly to?: Date;
  /** In lists by creation; READY assets alone have properties. */
  readonly properties?: PropertyFilter;
  /** The place that the page comes after, in this order. */
  readonly after?: Place;
  readonly limit: number;
}

/** An asset, and the instant that its list is ordered by. */
export interface ListedAsset {
  readonly asset: Asset;
  readonly at: Date;
}

/** A page of a list. */
export interface AssetList {
  readonly found: readonly ListedAsset[];
  /** Where the search was broken off, when that was before the limit and the end of the list. */
  readonly brokenOffAt: Place | null;
}

/**
 * Entries of an index that one page of a list by properties looks at: what does not fit (deleted, or other in a second
 * property) costs as much as what does, and an owner may have 100,000 of it.
 */
export const MAX_EXAMINED = 2_000;

export type ListRow = AssetRow & { at: Date };
export interface PlaceRow {
  at: Date;
  asset_id: string;
}

const bothWays = <Row>(list: (order: Direction) => Statement<Row>) => ({
  asc: list('asc'),
  desc: list('desc'),
});

// Parameters of every list: owner, from, to, place's instant, place's id, principals, limit; then its own.
const FIRST_OWN = 8;

// Sentinels instead of optional conditions: one statement an order, so that each is planned once. Status by status, since
// that is how the index reads a page without passing over what is filtered out.
export const LIST = bothWays<ListRow>((order) => ({
  name: `assets_list_created_${order}`,
  text: `select ${assetSql('$6')}, a.created_at as at from unnest($8::asset_status[]) as s (status), lateral (
      select * from media_assets m
      where m.owner_id = $1 and m.status = s.status and m.created_at > $2::timestamptz and m.created_at < $3::timestamptz
        and (m.created_at, m.asset_id) ${order === 'asc' ? '>' : '<'} ($4::timestamptz, $5::uuid)
      order by m.created_at ${order}, m.asset_id ${order} limit $7) a
    order by a.created_at ${order}, a.asset_id ${order} limit $7`,
}));

const CONDITIONS: Readonly<Record<FilteredProperty, (parameter: number) => string>> = {
  title: (parameter) => `lower(p.title) = lower($${parameter}::text)`,
  album: (parameter) => `lower(p.album) = lower($${parameter}::text)`,
  artist: (parameter) => `lower(p.artist) = lower($${parameter}::text)`,
  cameraModel: (parameter) => `lower(p.camera_model) = lower($${parameter}::text)`,
  cameraMake: (parameter) => `lower(p.camera_make) = lower($${parameter}::text)`,
  hasLocation: (parameter) => `p.has_location = $${parameter}::boolean`,
};

/** Whose index a page is read from. */
type Driver = FilteredProperty | 'taken';

const columnOf = (driver: Driver) => (driver === 'taken' ? 'p.taken_at_local' : 'p.created_at');
/** Local times have no zone and go to and from the database as if they were UTC. */
const zoneOf = (driver: Driver) => (driver === 'taken' ? " at time zone 'UTC'" : '');

/** What a page looks at. The driver's condition alone: with others beside it the planner may choose another index. */
function examined(driver: Driver, order: Direction, parameter: number): string {
  const at = columnOf(driver);
  const instant = (parameter: number) => `($${parameter}::timestamptz${zoneOf(driver)})`;
  return `select p.* from asset_properties p
    where p.owner_id = $1 and ${at} > ${instant(2)} and ${at} < ${instant(3)}
      and (${at}, p.asset_id) ${order === 'asc' ? '>' : '<'} (${instant(4)}, $5::uuid)
      ${driver === 'taken' ? '' : `and ${CONDITIONS[driver](parameter)}`}
    order by ${at} ${order}, p.asset_id ${order} limit ${MAX_EXAMINED}`;
}

/** The asset's own row says whose it is: what properties repeat of it only serves their indexes. */
const listBy = (driver: Driver) =>
  bothWays<ListRow>((order) => ({
    name: `assets_list_${driver}_${order}`,
    text: `select ${assetSql('$6')}, ${columnOf(driver)}${zoneOf(driver)} as at
      from (${examined(driver, order, FIRST_OWN + FILTERED_PROPERTIES.indexOf(driver as FilteredProperty))}) p
      cross join lateral (select * from media_assets m
        where m.asset_id = p.asset_id and m.owner_id = $1 and m.status = 'READY' limit 1) a
      where ${FILTERED_PROPERTIES.map((name, index) => {
        const parameter = FIRST_OWN + index;
        const type = name === 'hasLocation' ? 'boolean' : 'text';
        return `($${parameter}::${type} is null or ${CONDITIONS[name](parameter)})`;
      }).join(' and ')}
      order by ${columnOf(driver)} ${order}, p.asset_id ${order} limit $7`,
  }));

/** The last entry that a page may look at; no row when the list ends before. */
const lastBy = (driver: Driver) =>
  bothWays<PlaceRow>((order) => ({
    name: `assets_last_${driver}_${order}`,
    text: `select ${columnOf(driver)}${zoneOf(driver)} as at, asset_id
      from (${examined(driver, order, 6)}) p offset ${MAX_EXAMINED - 1} limit 1`,
  }));

const perDriver = <Value>(valueOf: (driver: Driver) => Value) =>
  Object.fromEntries(
    [...FILTERED_PROPERTIES, 'taken' as const].map((driver) => [driver, valueOf(driver)]),
  ) as Record<Driver, Value>;

export const LIST_BY = perDriver(listBy);
export const LAST_BY = perDriver(lastBy);

/** All properties together read no more entries than a page. Of properties that have more alike, the first is taken. */
export const MAX_ALIKE = Math.floor(MAX_EXAMINED / FILTERED_PROPERTIES.length);

/** Counts the entries of each property, up to {@link MAX_ALIKE}. Ordered, or the planner may choose no index. */
export const COUNT_ALIKE: Statement<Record<FilteredProperty, number>> = {
  name: 'assets_count_alike',
  text: `select ${FILTERED_PROPERTIES.map(
    (name, index) => `(select count(*)::int from (select 1 from asset_properties p
      where p.owner_id = $1 and ${CONDITIONS[name](4 + index)}
        and p.created_at > $2::timestamptz and p.created_at < $3::timestamptz
      order by p.created_at limit ${MAX_ALIKE}) p) as "${name}"`,
  ).join(', ')}`,
};
