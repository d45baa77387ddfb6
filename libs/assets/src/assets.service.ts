import { Injectable } from '@nestjs/common';
import { may } from '#libs/acl';
import { Database, type Statement } from '#libs/database';
import {
  type Actor,
  assetNotFound,
  type AssetStatus,
  isAssetId,
  type MetadataEntry,
  type Permission,
  principalsOf,
  StowageError,
} from '#libs/domain';
import { type Asset, type AssetDetails, ASSET_COLUMNS, assetOf, type AssetRow, assetSql } from './asset.js';

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
  text: `update media_assets set accessed_at = $2 where asset_id = $1 and (accessed_at is null or accessed_at < $2)`,
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
      (select coalesce(json_agg(e), '[]') from (
         select l.principal, l.permission, l.expires_at as "expiresAt" from asset_acl l
         where l.asset_id = a.asset_id order by l.principal, l.permission limit 200) e) as acl
    from unnest($1::uuid[]) as a (asset_id)`,
};

// Sentinels instead of optional conditions: one statement an order, so that each is planned once. Status by status, since
// that is how the index reads a page without passing over what is filtered out.
const LIST = (order: 'asc' | 'desc'): Statement<AssetRow> => ({
  name: `assets_list_created_${order}`,
  text: `select ${assetSql('$2')} from unnest($3::asset_status[]) as s (status), lateral (
      select * from media_assets m
      where m.owner_id = $1 and m.status = s.status and m.created_at > $4::timestamptz and m.created_at < $5::timestamptz
        and (m.created_at, m.asset_id) ${order === 'asc' ? '>' : '<'} ($6::timestamptz, $7::uuid)
      order by m.created_at ${order}, m.asset_id ${order} limit $8) a
    order by a.created_at ${order}, a.asset_id ${order} limit $8`,
});
const LISTS = { asc: LIST('asc'), desc: LIST('desc') };
const ENDS = {
  asc: { createdAt: '-infinity', id: '00000000-0000-0000-0000-000000000000' },
  desc: { createdAt: 'infinity', id: 'ffffffff-ffff-ffff-ffff-ffffffffffff' },
};

export interface AssetListing {
  readonly ownerId: bigint;
  readonly statuses: readonly AssetStatus[];
  readonly createdAfter?: Date;
  readonly createdBefore?: Date;
  readonly order: 'asc' | 'desc';
  /** The asset that the page comes after, in this order. */
  readonly after?: { readonly createdAt: Date; readonly id: string };
  readonly limit: number;
}

/** Reading assets. */
@Injectable()
export class Assets {
  constructor(private readonly database: Database) {}

  /** Null when there is none or the caller may not read it: the two look the same. */
  async find(actor: Actor, id: string): Promise<Asset | null> {
    if (!isAssetId(id)) return null;
    const [row] = await this.database.query(FIND, [id, principalsOf(actor)]);
    const asset = row === undefined ? null : assetOf(row);
    return asset !== null && may(actor, 'READ', asset) ? asset : null;
  }

  /** Those of these assets that are there and that the caller may read, in the order of the ids. */
  async findAll(actor: Actor, ids: readonly string[]): Promise<Asset[]> {
    const rows = await this.database.query(FIND_ALL, [ids.filter(isAssetId), principalsOf(actor)]);
    const assets = new Map(rows.map((row) => [row.asset_id, assetOf(row)]));
    return ids.flatMap((id) => assets.get(id) ?? []).filter((asset) => may(actor, 'READ', asset));
  }

  /** The bare asset, for work that no caller asked for; without metadata and access list. */
  async load(id: string): Promise<Asset | null> {
    const [row] = await this.database.query(LOAD, [id]);
    return row === undefined ? null : assetOf(row);
  }

  /**
   * @throws StowageError not-found ASSET_NOT_FOUND when the caller may not read it, forbidden PERMISSION_MISSING when
   * they may read it but not do this
   */
  async get(actor: Actor, id: string, permission: Permission): Promise<Asset> {
    const asset = await this.find(actor, id);
    if (asset === null) throw assetNotFound();
    if (!may(actor, permission, asset)) {
      throw new StowageError('forbidden', 'PERMISSION_MISSING', `This needs the permission ${permission}.`);
    }
    return asset;
  }

  /** A page of one owner's assets by creation. The caller has seen to it that the actor may list this owner. */
  async list(actor: Actor, listing: AssetListing): Promise<Asset[]> {
    const end = ENDS[listing.order];
    const rows = await this.database.query(LISTS[listing.order], [
      listing.ownerId,
      principalsOf(actor),
      listing.statuses,
      listing.createdAfter ?? '-infinity',
      listing.createdBefore ?? 'infinity',
      listing.after?.createdAt ?? end.createdAt,
      listing.after?.id ?? end.id,
      listing.limit,
    ]);
    return rows.map(assetOf);
  }

  /** Metadata and access lists of many assets, in one statement. */
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

  /** When a reader was last given the bytes, or a way to them. */
  async noteAccess(id: string, at: Date): Promise<void> {
    await this.database.query(NOTE_ACCESS, [id, at]);
  }
}
