import { Injectable } from '@nestjs/common';
import { type Asset, ASSET_COLUMNS, assetOf, type AssetRow } from '#libs/assets';
import { Database, isUniqueViolation, statement, type Tx } from '#libs/database';
import { TRANSITIONS } from '#libs/domain';
import { InspectionExtensions } from '#libs/inspection';
import { QuotaService } from '#libs/quota';
import type { NewAsset } from './upload.repository.js';
import { detailsSql, ITEM, existingAssetSql } from './upload-sql.js';

type SharedRow = { item: string } & (AssetRow | { assetId: null });

/**
 * Creates READY assets that share the bytes of another READY asset of their owner, with its properties. Each adds a reference
 * and counts towards the quota. Per owner, all items whose stored object may be referenced are created, or none if the quota
 * would be exceeded. On the hot path of upload requests, so one statement writes the tables of assets, quota, access lists and
 * events. Locks stored objects in id order, then the quota: the lock order of all transactions. Returns one row per shareable
 * item, with the asset as written, because other requests may purge the asset as soon as it is visible.
 */
export const SHARE_EXISTING = statement<SharedRow>(
  'upload_adopt',
  `with ${ITEM},
    twin as (
      select i.*, t.asset_id as twin_id, t.stored_object_id, t.bucket as twin_bucket, t.object_key, t.mime_type, t.scanned_by,
        t.passed_checks
      from item i, ${existingAssetSql('a.*')} t),
    usable as (
      select id from stored_objects
      where id = any(array(select stored_object_id from twin)) and state in ('STAGING', 'LIVE')
      order by id for no key update),
    adoptable as (select t.* from twin t join usable u on u.id = t.stored_object_id),
    quota as (
      update owner_quotas q set used_bytes = q.used_bytes + d.bytes, used_assets = q.used_assets + d.assets
      from (select "ownerId" as owner_id, sum("sizeBytes")::bigint as bytes, count(*)::int as assets from adoptable group by 1) d
      where q.owner_id = d.owner_id
        and q.used_bytes + q.reserved_bytes + d.bytes <= coalesce(q.limit_bytes, $1::bigint)
        and q.used_assets + q.reserved_assets + d.assets <= coalesce(q.limit_assets, $2::int)
      returning q.owner_id),
    adopted as (select a.* from adoptable a join quota q on q.owner_id = a."ownerId"),
    referenced as (
      update stored_objects o set ref_count = o.ref_count + d.assets, state = 'LIVE', pinned_until = null
      from (select stored_object_id as id, count(*)::int as assets from adopted group by 1) d
      where o.id = d.id),
    created as (
      insert into media_assets as a (asset_id, owner_id, bucket, object_key, filename, mime_type, declared_type, size_bytes,
        checksum_sha256, crc32c, status, stored_object_id, scanned_by, passed_checks, upload_method, idempotency_key,
        idempotency_fingerprint, request_id, url_expires_at, upload_deadline_at, next_check_at, created_at, updated_at, ready_at)
      select i.id, i."ownerId", i.twin_bucket, i.object_key, i.filename, i.mime_type, i."mimeType", i."sizeBytes",
        i."checksumSha256", i.crc32c, '${TRANSITIONS.adopt.to}', i.stored_object_id, i.scanned_by, i.passed_checks, i.method,
        i."idempotencyKey", i.fingerprint, i."requestId", i.now, i.now, i.now, i.now, i.now, i.now
      from adopted i
      returning ${ASSET_COLUMNS}),
    found as (
      insert into asset_properties
      select own.* from adopted i join asset_properties p on p.asset_id = i.twin_id,
        jsonb_populate_record(p, jsonb_build_object('asset_id', i.id, 'created_at', i.now)) own),
    ${detailsSql('adopted')},
    logged as (
      insert into domain_events (type, asset_id, owner_id)
      select '${TRANSITIONS.adopt.event}', "assetId", "ownerId" from created)
    select i.id as item, c.* from adoptable i left join created c on c."assetId" = i.id`,
);

/** Uploads whose bytes the owner already has in another asset, so that none need to be sent. Other owners' bytes never count. */
@Injectable()
export class OwnDuplicatesRepository {
  constructor(
    private readonly database: Database,
    private readonly quotas: QuotaService,
    private readonly extensions: InspectionExtensions,
  ) {}

  /** The content checks that the bytes of an existing asset must have passed; undefined for none. */
  get requiredChecks(): string[] | undefined {
    const { checkLabels } = this.extensions;
    return checkLabels.length > 0 ? checkLabels : undefined;
  }

  /**
   * Creates assets that share existing bytes of their owner.
   * @param tx the caller's transaction, if any
   * @returns the new assets by item id. Null means that another request of the owner used the quota or the idempotency key
   * meanwhile, so the caller tries again. The bytes of items without an entry do not exist (any more) and must be sent.
   * @throws StowageError unavailable
   */
  async shareExisting(
    ownerId: bigint,
    items: readonly NewAsset[],
    tx?: Tx,
  ): Promise<ReadonlyMap<string, Asset | null>> {
    const { limitBytes, limitAssets } = this.quotas.defaults;
    const { requiredChecks: checks } = this;
    const rows = items.map((item) => ({ ...item, ownerId: String(ownerId), checks }));
    try {
      const values = [limitBytes, limitAssets, JSON.stringify(rows)];
      const found = await this.database.query(SHARE_EXISTING, values, tx);
      const details = new Map(items.map(({ id, metadata, acl }) => [id, { metadata, acl }]));
      return new Map(
        found.map((row) => [
          row.item,
          row.assetId === null ? null : { ...assetOf(row), details: details.get(row.item)! },
        ]),
      );
    } catch (error) {
      if (isUniqueViolation(error)) return new Map(items.map(({ id }) => [id, null]));
      throw error;
    }
  }
}
