import { columnOf } from '#libs/database';
import { ASSET_KINDS, type AssetKind, type AssetStatus, DOCUMENT_TYPES } from '#libs/domain';

/** Properties that are compared as a whole, usually most selective first. Texts are compared case-insensitively. */
export const FILTERED_PROPERTIES = [
  'title',
  'album',
  'artist',
  'cameraModel',
  'cameraMake',
  'hasLocation',
] as const;
export type FilteredProperty = (typeof FILTERED_PROPERTIES)[number];

/** Conditions that must all hold. Only READY assets have properties. */
export type PropertyFilter = Partial<Record<Exclude<FilteredProperty, 'hasLocation'>, string>> & {
  readonly hasLocation?: boolean;
  /** Exclusive bounds of the local time, as if in UTC. */
  readonly takenAfter?: Date;
  readonly takenBefore?: Date;
};

/** A metadata entry that an asset must have; null for any value. */
export interface MetadataCondition {
  readonly key: string;
  readonly value: string | null;
}

/** Conditions that must all hold; one that is left out holds for every asset. */
export interface AssetFilter {
  readonly ownerId?: bigint;
  readonly kinds?: readonly AssetKind[];
  /** A canonical media type, or a family such as `image/*`. */
  readonly mediaType?: string;
  readonly checksum?: string;
  /** Distinct. */
  readonly metadata?: readonly MetadataCondition[];
  /** Exclusive bounds of the time of creation. */
  readonly createdAfter?: Date;
  readonly createdBefore?: Date;
  /** Part of the file name, in NFC; letter case is ignored. */
  readonly filenameContains?: string;
  readonly properties?: PropertyFilter;
}

/** Maximum number of metadata conditions. */
export const MAX_METADATA_FILTERS = 10;

/** The columns of the relation `f`, which has the filter as its only row. */
const COLUMNS = {
  ownerId: 'bigint',
  insiderId: 'bigint',
  statuses: 'asset_status[]',
  kinds: 'text[]',
  mediaType: 'text',
  family: 'text',
  checksum: 'bpchar',
  keys: 'text[]',
  values: 'text[]',
  createdAfter: 'timestamptz',
  createdBefore: 'timestamptz',
  filename: 'text',
  hasProperties: 'boolean',
  title: 'text',
  album: 'text',
  artist: 'text',
  cameraModel: 'text',
  cameraMake: 'text',
  hasLocation: 'boolean',
  takenAfter: 'timestamptz',
  takenBefore: 'timestamptz',
} as const;

/**
 * The relation `f` for a `with` clause. The planner does not see the values, so that all executions share one plan, and conditions
 * that are left out cost a comparison with null.
 * @param first number of the statement's first parameter of {@link filterValues}
 */
export const filterSql = (first: number) =>
  `f as materialized (select ${Object.entries(COLUMNS)
    .map(([name, type], index) => `$${first + index}::${type} as "${name}"`)
    .join(', ')})`;

/**
 * Values for the parameters of {@link filterSql}.
 * @param insiderId owner whose assets are listed in every status; those of others only when READY
 */
export function filterValues(
  filter: AssetFilter,
  statuses: readonly AssetStatus[],
  insiderId: bigint,
): readonly unknown[] {
  const { mediaType, metadata = [], properties = {} } = filter;
  const isFamily = mediaType?.endsWith('/*') === true;
  const values: Record<keyof typeof COLUMNS, unknown> = {
    ownerId: filter.ownerId,
    insiderId,
    statuses,
    kinds: filter.kinds,
    mediaType: isFamily ? null : mediaType,
    family: isFamily ? mediaType.slice(0, -1) : null,
    checksum: filter.checksum,
    keys: metadata.length === 0 ? null : metadata.map(({ key }) => key),
    values: metadata.map(({ value }) => value),
    createdAfter: filter.createdAfter,
    createdBefore: filter.createdBefore,
    filename: filter.filenameContains,
    hasProperties: hasConditions(properties),
    title: properties.title,
    album: properties.album,
    artist: properties.artist,
    cameraModel: properties.cameraModel,
    cameraMake: properties.cameraMake,
    hasLocation: properties.hasLocation,
    takenAfter: properties.takenAfter,
    takenBefore: properties.takenBefore,
  };
  return Object.keys(COLUMNS).map((name) => values[name as keyof typeof COLUMNS] ?? null);
}

/** Whether a filter, or the properties of one, has conditions. */
export const hasConditions = (conditions: object) =>
  Object.values(conditions).some((value) => value !== undefined);

/** Equals `kindOfMediaType`. */
export const KIND_SQL = `case ${ASSET_KINDS.filter((kind) => kind !== 'DOCUMENT' && kind !== 'OTHER')
  .map((kind) => `when starts_with(a.mime_type, '${kind.toLowerCase()}/') then '${kind}'`)
  .join(' ')} when a.mime_type ~ '${DOCUMENT_TYPES.source}' then 'DOCUMENT' else 'OTHER' end`;

/** Condition for rows of `asset_properties p`, which an index serves. */
export const propertySql = (name: FilteredProperty) =>
  name === 'hasLocation'
    ? `p.has_location = f."hasLocation"`
    : `lower(p.${columnOf(name)}) = lower(f."${name}")`;

const HAS_METADATA = `(select count(*) from unnest(f.keys, f."values") c (key, value)
        join asset_metadata d on d.asset_id = a.asset_id and d.key = c.key and (c.value is null or d.value = c.value))
      = cardinality(f.keys)`;

// PostgreSQL runs a scalar subquery once per row, whereas it may plan `exists` as one that reads the whole table.
const HAS_PROPERTIES = `coalesce((select true from asset_properties p where p.asset_id = a.asset_id
        and ${FILTERED_PROPERTIES.map((name) => `(f."${name}" is null or ${propertySql(name)})`).join(' and ')}
        and (f."takenAfter" is null or p.taken_at_local > f."takenAfter" at time zone 'UTC')
        and (f."takenBefore" is null or p.taken_at_local < f."takenBefore" at time zone 'UTC') limit 1), false)`;

/** Whether a row of `media_assets a` matches the relation `f`; cheap conditions first. */
export const MATCHES = [
  'a.status = any(f.statuses)',
  'a.replaces is null',
  `(a.status = 'READY' or a.owner_id = f."insiderId")`,
  `(f."ownerId" is null or a.owner_id = f."ownerId")`,
  `(f."createdAfter" is null or a.created_at > f."createdAfter")`,
  `(f."createdBefore" is null or a.created_at < f."createdBefore")`,
  '(f.checksum is null or a.checksum_sha256 = f.checksum)',
  `(f."mediaType" is null or a.mime_type = f."mediaType")`,
  '(f.family is null or starts_with(a.mime_type, f.family))',
  `(f.kinds is null or ${KIND_SQL} = any(f.kinds))`,
  '(f.filename is null or strpos(lower(a.filename), lower(f.filename)) > 0)',
  `(not f."hasProperties" or ${HAS_PROPERTIES})`,
  `(f.keys is null or ${HAS_METADATA})`,
].join('\n      and ');
