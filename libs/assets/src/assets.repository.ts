import { Injectable } from '@nestjs/common';
import { accessStatement, type Grant, GRANTS_SQL, PrincipalSources } from '#libs/access';
import {
  columnOf,
  columnsSql,
  Database,
  type MediaAsset,
  statement,
  type StoredObject,
  type Tx,
} from '#libs/database';
import {
  type AssetProperties,
  type FeatureProperties,
  localDateTimeOf,
  type MetadataEntry,
  NO_PROPERTIES,
} from '#libs/domain';
import { type Asset, ASSET_COLUMNS, type AssetDetails, assetOf, type AssetRow, assetSql } from './asset.js';
import { type AssetContents, STATUSES_WITH_CONTENTS, type Variant } from './asset-contents.js';

export const FIND = accessStatement<AssetRow>(
  'assets_find',
  (granted) => `select ${assetSql(granted('$2'))} from media_assets a where a.asset_id = $1`,
);

export const FIND_ALL = accessStatement<AssetRow>(
  'assets_find_all',
  (granted) => `select ${assetSql(granted('$2'))} from media_assets a where a.asset_id = any($1::uuid[])`,
);

const LOAD = statement<AssetRow>(
  'assets_load',
  `select ${ASSET_COLUMNS} from media_assets a where a.asset_id = $1`,
);

/** JSON has no dates. */
type GrantJson = Omit<Grant, 'expiresAt'> & { expiresAt: string | null };

const DETAILS = statement<{ assetId: string; metadata: MetadataEntry[]; acl: GrantJson[] }>(
  'assets_details',
  `select a.asset_id as "assetId",
      (select coalesce(json_agg(json_build_object('key', m.key, 'value', m.value) order by m.key), '[]')
         from asset_metadata m where m.asset_id = a.asset_id) as metadata,
      ${GRANTS_SQL} as acl
    from unnest($1::uuid[]) as a (asset_id)`,
);

/** Local times are read as if they were UTC; otherwise the database driver would apply the time zone of this process. */
const ZONES: Readonly<Record<string, string>> = { takenAtLocal: " at time zone 'UTC'" };
const PROPERTIES = Object.keys(NO_PROPERTIES).map(
  (name) => `p.${columnOf(name)}${ZONES[name] ?? ''} as "${name}"`,
);

interface ContentsRow
  extends
    Omit<AssetProperties, 'takenAtLocal'>,
    Pick<MediaAsset, 'assetId' | 'scannedBy'>,
    Pick<StoredObject, 'variantsReason'> {
  takenAtLocal: Date | null;
  /** Whether a row of properties exists. */
  isInspected: boolean;
  featureProperties: FeatureProperties | null;
  variants: readonly Variant[];
}

/**
 * Checks the status again, because an asset that was READY when it was read may have been rejected since. The limit keeps the
 * planner from reading all stored objects for a page.
 */
export const CONTENTS = statement<ContentsRow>(
  'assets_contents',
  `select ${columnsSql<MediaAsset>('a', ['assetId', 'scannedBy'])}, p.asset_id is not null as "isInspected",
      ${PROPERTIES.join(', ')},
      (select coalesce(json_agg(json_build_object('name', v.name, 'mimeType', v.mime_type, 'width', v.width,
          'height', v.height, 'sizeBytes', v.size_bytes, 'bucket', v.bucket, 'key', v.key) order by v.width, v.name), '[]')
        from (select distinct on (name) * from object_variants
          where stored_object_id = a.stored_object_id and version is not null
          order by name, created_at desc, spec desc) v
        where a.status = 'READY') as variants,
      o.variants_reason as "variantsReason", o.feature_properties as "featureProperties"
    from media_assets a left join asset_properties p on p.asset_id = a.asset_id
      left join lateral (select variants_reason, feature_properties from stored_objects
        where id = a.stored_object_id and a.status = 'READY' limit 1) o on true
    where a.asset_id = any($1::uuid[]) and a.status in (${STATUSES_WITH_CONTENTS.map((name) => `'${name}'`).join(', ')})`,
);

/** Index entries that are read at most to count the backlog of one owner; a longer backlog counts as this number. */
const MAX_COUNTED = 1_000;

/** Includes assets whose job is running. */
const BACKLOGS = statement<{ owner: bigint; assets: number }>(
  'assets_backlogs',
  `select o.id as owner, b.assets from unnest($1::bigint[]) as o (id), lateral (
      select count(*)::int as assets from (
        select 1 from media_assets a where a.owner_id = o.id and a.status = 'PROCESSING' limit ${MAX_COUNTED}) counted) b`,
);

// Locks rows in id order, so that two of these statements cannot deadlock.
const NOTE_ACCESS = statement<never>(
  'assets_note_access',
  `update media_assets set accessed_at = $2 where asset_id in (
      select asset_id from media_assets
      where asset_id = any($1::uuid[]) and (accessed_at is null or accessed_at < $2)
      order by asset_id for no key update)`,
);

/** Reads assets from `media_assets`, `asset_metadata` and `asset_properties`, and records that they were read. */
@Injectable()
export class AssetsRepository {
  constructor(
    private readonly database: Database,
    private readonly sources: PrincipalSources,
  ) {}

  /** @param principals the caller's, whose granted permissions the asset carries */
  async find(id: string, principals: readonly string[]): Promise<Asset | null> {
    const [row] = await this.database.query(FIND.for(this.sources), [id, principals]);
    return row === undefined ? null : assetOf(row);
  }

  /** {@link find} for many assets, in any order. */
  async findAll(ids: readonly string[], principals: readonly string[], tx?: Tx): Promise<Asset[]> {
    return (await this.database.query(FIND_ALL.for(this.sources), [ids, principals], tx)).map(assetOf);
  }

  /** An asset without granted permissions. */
  async load(id: string): Promise<Asset | null> {
    const [row] = await this.database.query(LOAD, [id]);
    return row === undefined ? null : assetOf(row);
  }

  async details(ids: readonly string[]): Promise<Map<string, AssetDetails>> {
    const rows = await this.database.query(DETAILS, [ids]);
    return new Map(rows.map(({ assetId, metadata, acl }) => [assetId, { metadata, acl: acl.map(grantOf) }]));
  }

  async contents(ids: readonly string[]): Promise<Map<string, AssetContents>> {
    const rows = await this.database.query(CONTENTS, [ids]);
    return new Map(rows.map((row) => [row.assetId, contentsOf(row)]));
  }

  /** Number of PROCESSING assets by owner, {@link MAX_COUNTED} at most. */
  async backlogs(owners: readonly bigint[]): Promise<Map<bigint, number>> {
    const rows = await this.database.query(BACKLOGS, [owners]);
    return new Map(rows.map(({ owner, assets }) => [owner, assets]));
  }

  async recordAccess(ids: readonly string[], at: Date): Promise<void> {
    await this.database.query(NOTE_ACCESS, [ids, at]);
  }
}

const grantOf = ({ expiresAt, ...grant }: GrantJson): Grant => ({
  ...grant,
  expiresAt: expiresAt === null ? null : new Date(expiresAt),
});

const contentsOf = ({
  assetId: _,
  isInspected,
  featureProperties,
  variants,
  variantsReason,
  scannedBy,
  takenAtLocal,
  ...properties
}: ContentsRow): AssetContents => ({
  properties: isInspected
    ? { ...properties, takenAtLocal: takenAtLocal && localDateTimeOf(takenAtLocal) }
    : null,
  featureProperties: featureProperties ?? {},
  variants,
  variantsReason,
  scannedBy,
});
