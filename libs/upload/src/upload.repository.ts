import { Injectable } from '@nestjs/common';
import { type Asset, assetOf, type AssetRow, assetSql, IncomingObjectsService } from '#libs/assets';
import { Batcher, columnsSql, Database, isUniqueViolation, type MediaAsset, statement } from '#libs/database';
import { type ObjectRef, TRANSITIONS, unavailable } from '#libs/domain';
import { QuotaService } from '#libs/quota';
import { OwnDuplicatesRepository } from './own-duplicates.repository.js';
import type { ParsedUploadRequest } from './upload-request.js';
import { detailsSql, ITEM, existingAssetSql } from './upload-sql.js';
import { UploadMetrics } from './upload-metrics.js';
import { UploadConfig } from './upload.config.js';

export interface NewAsset extends ParsedUploadRequest {
  readonly id: string;
  readonly requestId: string;
  readonly urlExpiresAt: Date;
  readonly uploadDeadlineAt: Date;
  readonly nextCheckAt: Date;
  readonly now: Date;
}

/** Outcome of one requested upload. `replayed`: the owner has used the idempotency key before, for `asset`. */
export type Created =
  | { readonly outcome: 'created'; readonly asset: Asset }
  | { readonly outcome: 'replayed'; readonly asset: Asset; readonly fingerprint: string }
  | { readonly outcome: 'over-quota' }
  | { readonly outcome: 'grant-expired' };

/**
 * The hot path of requestUpload and requestUploads: one statement writes the tables of quota, assets, access lists and events.
 * Per owner it reserves quota for all items and creates all assets, or nothing. No row means that the quota would be exceeded,
 * or that the owner already has the bytes of one item. Locks owners in id order to avoid deadlock. The event is recorded as
 * delivered, since no client knows the id of the asset yet. {@link newAssetOf} builds the assets, so no row is read back.
 */
export const CREATE = statement<{ id: string }>(
  'upload_create',
  `with ${ITEM},
    twin as (select i."ownerId" as owner_id from item i, ${existingAssetSql('1')} a where i.adopt),
    demand as (
      select "ownerId" as owner_id, sum("sizeBytes")::bigint as bytes, count(*)::int as assets from item group by 1),
    quota as (
      insert into owner_quotas as q (owner_id, reserved_bytes, reserved_assets)
      select owner_id, bytes, assets from demand d
        where not exists (select 1 from twin t where t.owner_id = d.owner_id)
          and (exists (select 1 from owner_quotas o where o.owner_id = d.owner_id) or (bytes <= $1::bigint and assets <= $2::int))
        order by owner_id
      on conflict (owner_id) do update
        set reserved_bytes = q.reserved_bytes + excluded.reserved_bytes,
          reserved_assets = q.reserved_assets + excluded.reserved_assets
        where q.used_bytes + q.reserved_bytes + excluded.reserved_bytes <= coalesce(q.limit_bytes, $1::bigint)
          and q.used_assets + q.reserved_assets + excluded.reserved_assets <= coalesce(q.limit_assets, $2::int)
      returning owner_id),
    reserved as (select i.* from quota q join item i on i."ownerId" = q.owner_id),
    created as (
      insert into media_assets (asset_id, owner_id, bucket, object_key, filename, mime_type, declared_type, size_bytes,
        checksum_sha256, crc32c, status, upload_method, idempotency_key, idempotency_fingerprint, request_id, url_expires_at,
        upload_deadline_at, next_check_at, created_at, updated_at)
      select i.id, i."ownerId", i.bucket, i.key, i.filename, i."mimeType", i."mimeType", i."sizeBytes", i."checksumSha256",
        i.crc32c, 'PENDING', i.method, i."idempotencyKey", i.fingerprint, i."requestId", i."urlExpiresAt", i."uploadDeadlineAt",
        i."nextCheckAt", i.now, i.now
      from reserved i
      returning asset_id, owner_id),
    ${detailsSql('reserved')},
    logged as (
      insert into domain_events (type, asset_id, owner_id, delivered_at)
      select '${TRANSITIONS.request.event}', asset_id, owner_id, now() from created)
    select asset_id as id from created`,
);

/** Single requests share statements: at most 4 run concurrently, and requests that arrive meanwhile join the next one. */
const BATCHES = { atOnce: 4, most: 100 };

/** The assets of one request, inserted together. */
interface Insertion {
  readonly ownerId: bigint;
  readonly assets: readonly NewAsset[];
  /** Assets that are created even if the owner seems to have their bytes. */
  readonly mustSend: ReadonlySet<NewAsset>;
}

const FIND_REPLAYED = statement<AssetRow & { idempotencyKey: string; idempotencyFingerprint: string }>(
  'upload_find_replayed',
  `select ${assetSql("'{}'::text[]")}, ${columnsSql<MediaAsset>('a', ['idempotencyKey', 'idempotencyFingerprint'])}
    from media_assets a where a.owner_id = $1 and a.idempotency_key = any($2)`,
);

/** Each round without progress means that another request of the owner succeeded meanwhile. */
const MAX_ROUNDS = 10;

/** Creates assets for upload requests. */
@Injectable()
export class UploadRepository {
  private readonly batcher: Batcher<Insertion, boolean>;

  constructor(
    private readonly database: Database,
    private readonly quotas: QuotaService,
    private readonly incoming: IncomingObjectsService,
    private readonly ownDuplicates: OwnDuplicatesRepository,
    private readonly metrics: UploadMetrics,
    { batches = BATCHES }: UploadConfig,
  ) {
    this.batcher = new Batcher((all) => this.insertAll(all), batches);
  }

  /**
   * Reserves quota and creates assets of one owner in one statement. If not all can be created (a key was used before, or the quota
   * suffices for some only), the statement is repeated for those that can.
   * @throws StowageError unavailable, also QUOTA_BUSY
   */
  async create(ownerId: bigint, assets: readonly NewAsset[]): Promise<ReadonlyMap<NewAsset, Created>> {
    const created = new Map<NewAsset, Created>();
    // Assets whose bytes must be sent although the owner seemed to have them.
    const mustSend = new Set<NewAsset>();
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const open = assets.filter((asset) => !created.has(asset));
      if (round > 0) await this.resolveConflicts(ownerId, open, created, mustSend);
      const fresh = open.filter((asset) => !created.has(asset) && !hasExpiredGrant(asset));
      const distinct = withoutRepeatedKeys(fresh);
      if (distinct.length > 0 && (await this.insert({ ownerId, assets: distinct, mustSend }, round === 0))) {
        for (const asset of distinct) {
          const ref = this.incoming.refOf(asset.id);
          created.set(asset, { outcome: 'created', asset: newAssetOf(asset, ownerId, ref) });
        }
      }
      if (created.size < assets.length) continue;
      for (const outcome of created.values()) this.metrics.requested(outcome);
      return created;
    }
    throw unavailable('QUOTA_BUSY', 'Too many uploads are being requested at once. Try again later.');
  }

  /**
   * Inserts all assets or none. Returns false when the quota does not suffice for all, an idempotency key was used before, or the
   * owner has the bytes of one asset; on the first try also when this applies to another request of the owner in the batch.
   */
  private async insert(insertion: Insertion, isFirstTry: boolean): Promise<boolean> {
    if (isFirstTry && insertion.assets.length === 1) return this.batcher.run(insertion);
    const [isInserted = false] = await this.insertAll([insertion]);
    return isInserted;
  }

  private async insertAll(insertions: readonly Insertion[]): Promise<boolean[]> {
    const { limitBytes, limitAssets } = this.quotas.defaults;
    const items = insertions.flatMap(({ ownerId, assets, mustSend }) =>
      assets.map((asset) => ({
        ...asset,
        ...this.incoming.refOf(asset.id),
        ownerId: String(ownerId),
        adopt: !mustSend.has(asset),
      })),
    );
    try {
      const rows = await this.database.query(CREATE, [limitBytes, limitAssets, JSON.stringify(items)]);
      const created = new Set(rows.map(({ id }) => id));
      return insertions.map(({ assets }) => created.has(assets[0]!.id));
    } catch (error) {
      if (insertions.length === 1 && isUniqueViolation(error)) return [false];
      throw error;
    }
  }

  /**
   * Finds the outcome of assets that cannot be created: those of used keys, expired grants and, in the order of the request, those
   * beyond the quota. Then creates assets that share bytes of the owner.
   */
  private async resolveConflicts(
    ownerId: bigint,
    open: readonly NewAsset[],
    created: Map<NewAsset, Created>,
    mustSend: Set<NewAsset>,
  ): Promise<void> {
    const keys = open.flatMap(({ idempotencyKey }) => idempotencyKey ?? []);
    const [rows, quota] = await Promise.all([
      keys.length === 0 ? [] : this.database.query(FIND_REPLAYED, [ownerId, keys]),
      this.quotas.of(ownerId),
    ]);
    const replayed = new Map(rows.map((row) => [row.idempotencyKey, row]));
    let bytes = quota.limitBytes - quota.usedBytes - quota.reservedBytes;
    let count = quota.limitAssets - quota.usedAssets - quota.reservedAssets;
    const shareable: NewAsset[] = [];
    for (const asset of withoutRepeatedKeys(open)) {
      const row = asset.idempotencyKey === null ? undefined : replayed.get(asset.idempotencyKey);
      if (row !== undefined) {
        const { idempotencyFingerprint: fingerprint } = row;
        created.set(asset, { outcome: 'replayed', asset: assetOf(row), fingerprint });
      } else if (hasExpiredGrant(asset)) {
        created.set(asset, { outcome: 'grant-expired' });
      } else if (asset.sizeBytes > bytes || count < 1) {
        created.set(asset, { outcome: 'over-quota' });
      } else {
        if (!mustSend.has(asset)) shareable.push(asset);
        bytes -= asset.sizeBytes;
        count -= 1;
      }
    }
    if (shareable.length === 0) return;
    const shared = await this.ownDuplicates.shareExisting(ownerId, shareable);
    for (const item of shareable) {
      const asset = shared.get(item.id);
      if (asset === undefined) mustSend.add(item);
      else if (asset !== null) created.set(item, { outcome: 'created', asset });
    }
  }
}

/** The asset that {@link CREATE} inserts for an item. */
const newAssetOf = (item: NewAsset, ownerId: bigint, { bucket, key }: ObjectRef): Asset => ({
  id: item.id,
  ownerId,
  bucket,
  objectKey: key,
  filename: item.filename,
  mimeType: item.mimeType,
  sizeBytes: item.sizeBytes,
  checksumSha256: item.checksumSha256,
  crc32c: item.crc32c,
  uploadMethod: item.method,
  status: 'PENDING',
  statusReason: null,
  storedObjectId: null,
  isCorrupt: false,
  claimedGeneration: null,
  attempt: 0,
  requestId: item.requestId,
  urlExpiresAt: item.urlExpiresAt,
  uploadDeadlineAt: item.uploadDeadlineAt,
  createdAt: item.now,
  updatedAt: item.now,
  readyAt: null,
  accessedAt: null,
  deletedAt: null,
  version: 0,
  details: { metadata: item.metadata, acl: item.acl },
  granted: [],
});

/** Expired grants cannot be created, but a replayed request may contain grants that have expired since. */
const hasExpiredGrant = ({ acl, now }: NewAsset) =>
  acl.some(({ expiresAt }) => expiresAt !== null && expiresAt <= now);

/** Keeps only the first item of each idempotency key; the others are replays of the first. */
function withoutRepeatedKeys(assets: readonly NewAsset[]): NewAsset[] {
  const keys = new Set<string>();
  return assets.filter(({ idempotencyKey: key }) => key === null || (!keys.has(key) && keys.add(key)));
}
