import { Injectable } from '@nestjs/common';
import { Database, type MediaAsset, statement, type Tx } from '#libs/database';
import type { AssetEventType } from '#libs/domain';
import { DomainEventsRepository } from '#libs/events';
import { ASSET_COLUMNS, assetOf, type AssetRow } from './asset.js';
import { type AssetDifference, AssetDraft } from './asset-draft.js';

/** Locks rows in id order, like all statements that lock several. */
const LOCK = statement<AssetRow>(
  'assets_update_lock',
  `select ${ASSET_COLUMNS} from media_assets a where a.asset_id = any($1::uuid[])
    order by a.asset_id for no key update of a`,
);

/** Needs a snapshot that is newer than the lock, so it is a statement of its own. Values of other keys stay in the database. */
const METADATA = statement<{ assetId: string; key: string; value: string | null }>(
  'assets_update_metadata',
  `select m.asset_id as "assetId", m.key, case when m.key = any($2::text[]) then m.value end as value
    from asset_metadata m where m.asset_id = any($1::uuid[])`,
);

const UPDATED: AssetEventType = 'asset.updated';

/**
 * Leaves `version` to the transitions: a worker compares it after minutes of processing and must not lose its result to a new name.
 * Subscriptions notice the change by `updated_at`, which therefore always increases. Only a FAILED asset keeps `updated_at`, from
 * which the retention of its bytes is counted, and changes its version.
 */
const WRITE = statement<Pick<MediaAsset, 'assetId' | 'updatedAt' | 'version'>>(
  'assets_update_write',
  `with item as (
      select * from jsonb_to_recordset($1::jsonb) as i (id uuid, filename text, "set" jsonb, remove jsonb)),
    updated as (
      update media_assets a set filename = i.filename,
        updated_at = case when status = 'FAILED' then updated_at
          else greatest($2::timestamptz, updated_at + interval '1 millisecond') end,
        version = version + (status = 'FAILED')::int
      from item i where a.asset_id = i.id
      returning a.asset_id, a.owner_id, a.created_at, a.updated_at, a.version),
    described as (
      insert into asset_metadata (asset_id, key, value, owner_id, created_at)
      select u.asset_id, m.key, m.value, u.owner_id, u.created_at
      from updated u join item i on i.id = u.asset_id, jsonb_to_recordset(i."set") as m (key text, value text)
      on conflict (asset_id, key) do update set value = excluded.value),
    removed as (
      delete from asset_metadata m using item i, jsonb_array_elements_text(i.remove) as k (key)
      where m.asset_id = i.id and m.key = k.key),
    logged as (
      insert into domain_events (type, asset_id, owner_id) select '${UPDATED}', asset_id, owner_id from updated)
    select asset_id as "assetId", updated_at as "updatedAt", version from updated`,
);

/** The columns that an update changes besides the file name. */
export type UpdatedColumns = Pick<MediaAsset, 'updatedAt' | 'version'>;

/** Writes file names and metadata of assets. */
@Injectable()
export class AssetUpdatesRepository {
  constructor(
    private readonly database: Database,
    private readonly events: DomainEventsRepository,
  ) {}

  /**
   * Locks assets until the end of the transaction. Assets that do not exist are not in the result.
   * @param keys the metadata keys that will be set; undefined if metadata stays as it is
   */
  async lock(
    tx: Tx,
    ids: readonly string[],
    keys: readonly string[] | undefined,
  ): Promise<Map<string, AssetDraft>> {
    const assets = (await this.database.query(LOCK, [ids], tx)).map(assetOf);
    const entries = keys === undefined ? [] : await this.database.query(METADATA, [ids, keys], tx);
    const byAsset = Map.groupBy(entries, ({ assetId }) => assetId);
    return new Map(
      assets.map((asset) => {
        const stored = new Map((byAsset.get(asset.id) ?? []).map(({ key, value }) => [key, value]));
        return [asset.id, new AssetDraft(asset, stored)];
      }),
    );
  }

  /** Writes the differences, with an event for each, to assets that the transaction has locked. */
  async write(
    tx: Tx,
    differences: readonly AssetDifference[],
    now: Date,
  ): Promise<Map<string, UpdatedColumns>> {
    const rows = await this.database.query(WRITE, [JSON.stringify(differences), now], tx);
    this.events.announceAfterCommit(tx);
    return new Map(rows.map(({ assetId, ...columns }) => [assetId, columns]));
  }
}
