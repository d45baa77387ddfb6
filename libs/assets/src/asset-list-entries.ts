import { type Statement, statement } from '#libs/database';
import {
  FILTERED_PROPERTIES,
  type FilteredProperty,
  filterSql,
  MATCHES,
  MAX_METADATA_FILTERS,
  propertySql,
} from './asset-filter.js';
import { comparisonOf, type ListPosition } from './list-merge.js';

/*
 * Statements that read index entries for the merge of a list. Each reads the streams of one index.
 */

export type Direction = 'asc' | 'desc';

/** Index entries that one page examines at most. An entry that does not match costs as much as a matching one. */
export const MAX_EXAMINED = 2_000;

const MIN_ID = '00000000-0000-0000-0000-000000000000';
const MAX_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

interface Order {
  /** SQL type of parameters. Local times have no zone; they are passed as if they were UTC. */
  readonly type: 'timestamptz' | 'bigint' | 'text';
  readonly zone?: string;
  /** Bounds of all keys, exclusive together with {@link MIN_ID} and {@link MAX_ID}. */
  readonly min: string;
  readonly max: string;
}

const INSTANTS = { type: 'timestamptz', min: '-infinity', max: 'infinity' } as const;

/** The values by which lists are ordered. */
export const ORDERS = {
  created: INSTANTS,
  taken: { ...INSTANTS, zone: " at time zone 'UTC'" },
  size: { type: 'bigint', min: '-1', max: '9223372036854775807' },
  // Greater than all file names, which have at most 255 bytes.
  name: { type: 'text', min: '', max: '\u{10ffff}'.repeat(64) },
} as const satisfies Record<string, Order>;
export type OrderKey = keyof typeof ORDERS;
const ORDER_KEYS = Object.keys(ORDERS) as OrderKey[];

/** Bounds of a page: exclusive start, and exclusive last key in its direction. */
export interface Range {
  readonly start: { readonly key: ListPosition['key']; readonly id: string };
  readonly end: ListPosition['key'];
}

/**
 * The range of a page behind a position, within exclusive bounds of the keys. It has one bound at its start, because PostgreSQL
 * begins an index scan at the first of several, and reads all entries up to the others.
 */
export function rangeOf(
  by: OrderKey,
  direction: Direction,
  after: ListPosition | null,
  from: ListPosition['key'] = ORDERS[by].min,
  to: ListPosition['key'] = ORDERS[by].max,
): Range {
  const [first, end] = direction === 'asc' ? [from, to] : [to, from];
  const bound = { key: first, id: direction === 'asc' ? MAX_ID : MIN_ID };
  const isBehind = after !== null && (typeof first === 'string' || comparisonOf(direction)(after, bound) > 0);
  return { start: isBehind ? after : bound, end };
}

/** An index that streams of a list are read from. */
interface Source {
  readonly by: OrderKey;
  /** Table and alias. */
  readonly from: string;
  readonly key: string;
  /** Equality conditions on the index, with the filter `f` and the stream `s`. */
  readonly where: string;
  /** Further condition for a match, on the entry `i`. */
  readonly matches?: string;
}

export const ASSET_KEYS = {
  created: 'm.created_at',
  size: 'm.size_bytes',
  name: 'lower(m.filename) collate "C"',
} as const;
const GRANT_KEYS = {
  created: 'g.created_at',
  taken: 'g.taken_at_local',
  size: 'g.size_bytes',
  name: 'g.sort_name',
} as const satisfies Record<OrderKey, string>;
/** Orders that assets of every status have. */
export type PlainOrder = keyof typeof ASSET_KEYS;
export const PLAIN_ORDERS = ['created', 'size', 'name'] as const;

const perOrder = <Prefix extends string, By extends OrderKey>(
  prefix: Prefix,
  orders: readonly By[],
  sourceOf: (by: By) => Source,
) =>
  Object.fromEntries(orders.map((by) => [`${prefix}_${by}`, sourceOf(by)])) as Record<
    `${Prefix}_${By}`,
    Source
  >;
const perProperty = (sourceOf: (name: FilteredProperty) => Source) =>
  Object.fromEntries(FILTERED_PROPERTIES.map((name) => [name, sourceOf(name)])) as Record<
    FilteredProperty,
    Source
  >;

/** Owner and status are decided by `media_assets`; copies of the owner in other tables only serve their indexes. */
const SOURCES = {
  /** A stream for each status of an owner. */
  ...perOrder('status', PLAIN_ORDERS, (by) => ({
    by,
    from: 'media_assets m',
    key: ASSET_KEYS[by],
    where: `m.owner_id = f."ownerId" and m.status = s.value::asset_status`,
  })),
  /**
   * A stream for each principal. Repeats the condition of the index; the bounds of a page exclude assets without a time of taking.
   * Several permissions of one principal are entries at one position, of which a page may read only the first, so an expired grant
   * is replaced by any other.
   */
  ...perOrder('grant', ORDER_KEYS, (by) => ({
    by,
    from: 'asset_acl g',
    key: GRANT_KEYS[by],
    where: `g.principal = s.value and (g.principal = '*' or g.principal like 'user:%' or g.principal like 'group:%')`,
    matches: `(coalesce(i.expires_at, 'infinity') > now() or coalesce((select true from asset_acl o
        where o.asset_id = i.asset_id and o.principal = i.principal and coalesce(o.expires_at, 'infinity') > now() limit 1), false))`,
  })),
  ...perProperty((name) => ({
    by: 'created',
    from: 'asset_properties p',
    key: 'p.created_at',
    where: `p.owner_id = f."ownerId" and ${propertySql(name)}`,
  })),
  taken: {
    by: 'taken',
    from: 'asset_properties p',
    key: 'p.taken_at_local',
    where: `p.owner_id = f."ownerId"`,
  },
  /** The first metadata condition of the filter. */
  metadata: {
    by: 'created',
    from: 'asset_metadata d',
    key: 'd.created_at',
    where: `d.owner_id = f."ownerId" and d.key = f.keys[1] and left(d.value, 128) = left(f."values"[1], 128)`,
  },
  checksum: {
    by: 'created',
    from: 'media_assets m',
    key: 'm.created_at',
    where: `m.owner_id = f."ownerId" and m.checksum_sha256 = f.checksum and m.status = 'READY'`,
  },
} satisfies Record<string, Source>;
export type SourceName = keyof typeof SOURCES;
export const SOURCE_NAMES = Object.keys(SOURCES) as SourceName[];

/** Operators for entries behind the start of a page, and for those before its end. */
export const COMPARISONS = { asc: ['>', '<'], desc: ['<', '>'] } as const;

/** A range of an index. */
export interface ListStream {
  readonly source: SourceName;
  /** The status or principal; null for a source with one stream. */
  readonly value: string | null;
}

export interface EntryRow {
  /** Number of the stream in the statement, from 1. */
  readonly stream: number;
  readonly key: Date | bigint | string;
  readonly id: string;
  readonly matches: boolean;
  /** Entries of the stream that were read. */
  readonly examined: number;
}

/**
 * A limit that the planner does not see. If it expects fewer rows than a limit that it sees, which is wrong for the largest owners
 * and principals, it reads and sorts all of their rows.
 */
export const hiddenLimit = (limit: string | number) => `(select ${limit}::int)`;

/**
 * Reads the next entries of each stream: those that match, and the last one. The lateral join keeps the planner from reading
 * `media_assets` as a whole.
 */
function entriesOf(name: SourceName, direction: Direction) {
  const { by, from, key, where, matches = 'true' }: Source = SOURCES[name];
  const { type, zone = '' }: Order = ORDERS[by];
  const [table, alias] = from.split(' ');
  const [behind, before] = COMPARISONS[direction];
  const isAsset = table === 'media_assets';
  const entry = isAsset ? 'a' : 'i';
  const asset = isAsset
    ? ''
    : ', lateral (select * from media_assets m where m.asset_id = i.asset_id limit 1) a';
  return statement<EntryRow>(
    `assets_entries_${name}_${direction}`,
    `with ${filterSql(6)}
    select s.stream::int as stream, e.key${zone} as key, e.id, e.matches, e.examined::int as examined
    from f, unnest($1::text[], $2::${type}[], $3::uuid[]) with ordinality s (value, key, id, stream), lateral (
      select x.key, x.id, x.matches, count(*) over () as examined,
        row_number() over (order by x.key ${direction}, x.id ${direction}) as entry
      from (
        select ${entry}.list_key as key, ${entry}.asset_id as id, ${matches} and ${MATCHES} as matches
        from (
          select ${alias}.*, ${key} as list_key from ${from}
          where ${where}
            and (${key}, ${alias}.asset_id) ${behind} (s.key${zone}, s.id) and ${key} ${before} $5::${type}${zone}
          order by ${key} ${direction}, ${alias}.asset_id ${direction} limit ${hiddenLimit('$4')}) ${entry}${asset}) x) e
    where e.matches or e.entry = e.examined
    order by s.stream, e.entry`,
  );
}

const perDirection = <Value>(valueOf: (direction: Direction) => Value): Record<Direction, Value> => ({
  asc: valueOf('asc'),
  desc: valueOf('desc'),
});

export const ENTRIES = Object.fromEntries(
  SOURCE_NAMES.map((name) => [name, perDirection((direction) => entriesOf(name, direction))]),
) as Record<SourceName, Record<Direction, Statement<EntryRow>>>;

/** Matches that are counted of each condition; more count as this number. Half of a page's entries suffice for all conditions. */
export const MAX_COUNTED = Math.floor(MAX_EXAMINED / 2 / (FILTERED_PROPERTIES.length + MAX_METADATA_FILTERS));

/** Counts the matches of each property of the filter, and of each metadata condition. Without the order the planner may use no index. */
export const COUNT_MATCHES = statement<Record<FilteredProperty, number> & { metadata: number[] }>(
  'assets_count_matches',
  `with ${filterSql(1)}
  select ${FILTERED_PROPERTIES.map(
    (name) => `(select count(*)::int from (select 1 from asset_properties p
      where p.owner_id = f."ownerId" and ${propertySql(name)}
        and p.created_at > coalesce(f."createdAfter", '-infinity') and p.created_at < coalesce(f."createdBefore", 'infinity')
      order by p.created_at limit ${hiddenLimit(MAX_COUNTED)}) p) as "${name}"`,
  ).join(', ')},
    array(select (select count(*)::int from (select 1 from asset_metadata d
      where d.owner_id = f."ownerId" and d.key = c.key and left(d.value, 128) = left(c.value, 128)
        and d.created_at > coalesce(f."createdAfter", '-infinity') and d.created_at < coalesce(f."createdBefore", 'infinity')
      order by d.created_at limit ${hiddenLimit(MAX_COUNTED)}) d)
      from unnest(f.keys, f."values") with ordinality c (key, value, n) order by c.n) as metadata
  from f`,
);
