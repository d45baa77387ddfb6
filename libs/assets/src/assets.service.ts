import { Injectable } from '@nestjs/common';
import { GRANTS_SQL, may } from '#libs/access';
import { Database, type Statement } from '#libs/database';
import {
  type Actor,
  assetNotFound,
  isAssetId,
  type MetadataEntry,
  type Permission,
  principalsOf,
  StowageError,
} from '#libs/domain';
import { type Asset, type AssetDetails, ASSET_COLUMNS, assetOf, type AssetRow, assetSql } from './asset.js';
import { type AssetContents, CONTENTS, contentsFrom } from './asset-contents.js';
import {
  type AssetList,
  type AssetListing,
  COUNT_MATCHES,
  FILTERED_PROPERTIES,
  type FilteredProperty,
  LAST_BY,
  LIST,
  LIST_BY,
  type ListRow,
} from './asset-lists.js';

const FIND: Statement<AssetRow> = {
  name: 'assets_find',
  text: `select ${assetSql('$2')} from media_assets a where a.asset_id = $1`,
};

const FIND_ALL: Statement<AssetRow> = {
  name: 'assets_find_all',
  text: `select ${assetSql('$2')} from media_assets a where a.asset_id = any($1::uuid[])`,
};

const LOAD: Statement<AssetRow> = {
  name: 'assets_load',
  text: `select ${ASSET_COLUMNS} from media_assets a where a.asset_id = $1`,
};

const NOTE_ACCESS: Statement<never> = {
  name: 'assets_note_access',
  // Locks rows in id order, so that two of these statements cannot deadlock.
  text: `update media_assets set accessed_at = $2 where asset_id in (
      select asset_id from media_assets
      where asset_id = any($1::uuid[]) and (accessed_at is null or accessed_at < $2)
      order by asset_id for no key update)`,
};

const DETAILS: Statement<{
  asset_id: string;
  metadata: MetadataEntry[];
  acl: { principal: string; permission: Permission; expiresAt: string | null }[];
}> = {
  name: 'assets_details',
  text: `select a.asset_id,
      (select coalesce(json_agg(json_build_object('key', m.key, 'value', m.value) order by m.key), '[]')
         from asset_metadata m where m.asset_id = a.asset_id) as metadata,
      ${GRANTS_SQL} as acl
    from unnest($1::uuid[]) as a (asset_id)`,
};

const ENDS = {
  asc: { at: '-infinity', id: '00000000-0000-0000-0000-000000000000' },
  desc: { at: 'infinity', id: 'ffffffff-ffff-ffff-ffff-ffffffffffff' },
};

/** Reads assets and lists of assets, with the rights of a caller. */
@Injectable()
export class AssetsService {
  constructor(private readonly database: Database) {}

  /** @returns null when the asset does not exist or the caller may not read it, so that callers cannot tell the two apart */
  async find(actor: Actor, id: string): Promise<Asset | null> {
    if (!isAssetId(id)) return null;
    const [row] = await this.database.query(FIND, [id, principalsOf(actor)]);
    const asset = row === undefined ? null : assetOf(row);
    return asset !== null && may(actor, 'READ', asset) ? asset : null;
  }

  /** The assets that exist and that the caller may read, in the order of the ids. */
  async findAll(actor: Actor, ids: readonly string[]): Promise<Asset[]> {
    const rows = await this.database.query(FIND_ALL, [ids.filter(isAssetId), principalsOf(actor)]);
    const assets = new Map(rows.map((row) => [row.asset_id, assetOf(row)]));
    return ids.flatMap((id) => assets.get(id) ?? []).filter((asset) => may(actor, 'READ', asset));
  }

  /** For work that the service does on its own behalf. The result has no metadata, access list or granted permissions. */
  async findWithoutAccessCheck(id: string): Promise<Asset | null> {
    const [row] = await this.database.query(LOAD, [id]);
    return row === undefined ? null : assetOf(row);
  }

  /**
   * An asset for which the caller has this permission.
   * @throws StowageError not-found ASSET_NOT_FOUND when the caller may not read the asset, forbidden PERMISSION_MISSING when the
   * caller may read it but lacks the permission
   */
  async get(actor: Actor, id: string, permission: Permission): Promise<Asset> {
    const asset = await this.find(actor, id);
    if (asset === null) throw assetNotFound();
    if (!may(actor, permission, asset)) {
      throw new StowageError('forbidden', 'PERMISSION_MISSING', `This needs the permission ${permission}.`);
    }
    return asset;
  }

  /** A page of one owner's assets. Does not check whether the actor may list this owner; the calling code must have done so. */
  async list(actor: Actor, listing: AssetListing): Promise<AssetList> {
    const { ownerId, by, statuses, order, from, to, properties = {}, after, limit } = listing;
    const bounds = [ownerId, from ?? '-infinity', to ?? 'infinity'];
    const start = after ?? ENDS[order];
    const page = [...bounds, start.at, start.id, principalsOf(actor), limit];
    const filtered = FILTERED_PROPERTIES.filter((name) => properties[name] !== undefined);
    if (by !== 'taken' && filtered.length === 0) {
      const rows = await this.database.query(LIST[order], [...page, statuses]);
      return { found: rows.map(listedOf), stoppedAt: null };
    }
    if (!statuses.includes('READY')) return { found: [], stoppedAt: null };
    const values = FILTERED_PROPERTIES.map((name) => properties[name] ?? null);
    const driver = by === 'taken' ? by : await this.mostSelective(filtered, [...bounds, ...values]);
    const rows = await this.database.query(LIST_BY[driver][order], [...page, ...values]);
    const found = rows.map(listedOf);
    if (found.length === limit) return { found, stoppedAt: null };
    const value = driver === 'taken' ? [] : [properties[driver]];
    const [last] = await this.database.query(LAST_BY[driver][order], [
      ...bounds,
      start.at,
      start.id,
      ...value,
    ]);
    return { found, stoppedAt: last === undefined ? null : { at: last.at, id: last.asset_id } };
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

  /** Metadata and access lists of many assets, by asset id, in one statement. */
  async details(ids: readonly string[]): Promise<Map<string, AssetDetails>> {
    const rows = await this.database.query(DETAILS, [ids]);
    return new Map(
      rows.map(({ asset_id: id, metadata, acl }) => [
        id,
        {
          metadata,
          acl: acl.map((entry) => ({
            ...entry,
            expiresAt: entry.expiresAt === null ? null : new Date(entry.expiresAt),
          })),
        },
      ]),
    );
  }

  /** Contents of many assets, by asset id, in one statement. Omits assets that are neither READY nor DELETED now. */
  async contents(ids: readonly string[]): Promise<Map<string, AssetContents>> {
    const rows = await this.database.query(CONTENTS, [ids]);
    return new Map(rows.map((row) => [row.assetId, contentsFrom(row)]));
  }

  /** Records that the bytes, or URLs to them, were given to readers at this time. */
  async recordAccess(ids: readonly string[], at: Date): Promise<void> {
    await this.database.query(NOTE_ACCESS, [ids, at]);
  }
}

const listedOf = (row: ListRow) => ({ asset: assetOf(row), at: row.at });
