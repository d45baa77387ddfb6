import { Inject, Injectable } from '@nestjs/common';
import { type Asset, assetOf, type AssetRow, assetSql, IncomingObjectsService } from '#libs/assets';
import { Batcher, Database, isUniqueViolation, type Statement } from '#libs/database';
import { type ObjectRef, TRANSITIONS, unavailable } from '#libs/domain';
import { QuotaService } from '#libs/quota';
import { OwnDuplicates } from './own-duplicates.js';
import type { ParsedUploadRequest } from './upload-request.js';
import { detailsSql, ITEM, existingAssetSql } from './upload-sql.js';
import { UploadMetrics } from './upload-metrics.js';
import { UPLOAD_OPTIONS, type UploadOptions } from './upload.options.js';

export interface NewAsset extends ParsedUploadRequest {
  readonly id: string;
  readonly requestId: string;
  readonly urlExpiresAt: Date;
  readonly uploadDeadlineAt: Date;
  readonly nextCheckAt: Date;
  readonly now: Date;
}

/** `replayed`: the owner used this idempotency key before, for `asset`. */
export type Created =
  | { readonly outcome: 'created'; readonly asset: Asset }
  | { readonly outcome: 'replayed'; readonly asset: Asset; readonly fingerprint: string }
  | { readonly outcome: 'over-quota' }
  | { readonly outcome: 'grant-expired' };

/**
 * The hot path of requestUpload and requestUploads, over the tables of quota, assets, acl and events: for each owner one
 * reservation for all its assets and everything that stands on it, or nothing. No row means that the reservation would have passed
 * the limit, or that the owner has the bytes of one of them already. Owners in order: two statements that reserve for the same
 * ones wait for each other, and not each for the other. Its event counts as delivered: nobody can wait for news of an asset whose
 * id nobody knows yet. What it writes is known here ({@link newAssetOf}) and is not read back.
 */
export const CREATE: Statement<{ asset_id: string }> = {
  name: 'upload_create',
  text: `with ${ITEM},
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
    select asset_id from created`,
};

/** Statements of single requests on their way at a time; what comes meanwhile goes into the next. */
const BATCHES = { atOnce: 4, most: 100 };

/** What one request asks for at once. */
interface Insertion {
  readonly ownerId: bigint;
  readonly assets: readonly NewAsset[];
  /** Not to be adopted. */
  readonly sent: ReadonlySet<NewAsset>;
}

const FIND_REPLAYED: Statement<AssetRow & { key: string; fingerprint: string }> = {
  name: 'upload_find_replayed',
  text: `select ${assetSql("'{}'::text[]")}, a.idempotency_key as key, a.idempotency_fingerprint as fingerprint
    from media_assets a where a.owner_id = $1 and a.idempotency_key = any($2)`,
};

/** Each round that settles nothing means that another request of the owner came in between. */
const MAX_ROUNDS = 10;

const EXTEND: Statement<{ asset_id: string }> = {
  name: 'upload_extend',
  text: `update media_assets set url_expires_at = $2, upload_deadline_at = greatest(upload_deadline_at, $3),
      updated_at = $4, version = version + 1
    where asset_id = $1 and status = 'PENDING' and upload_deadline_at > $4 returning asset_id`,
};

@Injectable()
export class UploadRepository {
  private readonly batcher: Batcher<Insertion, boolean>;

  constructor(
    private readonly database: Database,
    private readonly quotas: QuotaService,
    private readonly incoming: IncomingObjectsService,
    private readonly ownDuplicates: OwnDuplicates,
    private readonly metrics: UploadMetrics,
    @Inject(UPLOAD_OPTIONS) { batches = BATCHES }: UploadOptions,
  ) {
    this.batcher = new Batcher((all) => this.insertAll(all), batches);
  }

  /**
   * Reserves quota and creates assets of one owner: all in one statement, which is repeated for those that can be had
   * when not all can (a key was used before, the quota has room for some). Answers in the order of the items.
   */
  async create(ownerId: bigint, assets: readonly NewAsset[]): Promise<Created[]> {
    const created = new Map<NewAsset, Created>();
    /** Those whose bytes have to be sent, though the owner seemed to have them. */
    const sent = new Set<NewAsset>();
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const open = assets.filter((asset) => !created.has(asset));
      if (round > 0) await this.settle(ownerId, open, created, sent);
      const fresh = open.filter((asset) => !created.has(asset) && !grantsThePast(asset));
      const chosen = withoutRepeatedKeys(fresh);
      if (chosen.length > 0 && (await this.insert({ ownerId, assets: chosen, sent }, round === 0))) {
        for (const asset of chosen) {
          const ref = this.incoming.refOf(asset.id);
          created.set(asset, { outcome: 'created', asset: newAssetOf(asset, ownerId, ref) });
        }
      }
      if (created.size < assets.length) continue;
      for (const outcome of created.values()) this.metrics.requested(outcome);
      return assets.map((asset) => created.get(asset)!);
    }
    throw unavailable('QUOTA_BUSY', 'Too many uploads are being requested at once. Try again later.');
  }

  /**
   * All, or none: the quota has no room for all, a key is in use, or bytes are there that could be adopted; at the first try also
   * because that is so for others of the same owner.
   */
  private async insert(insertion: Insertion, isFirstTry: boolean): Promise<boolean> {
    if (isFirstTry && insertion.assets.length === 1) return this.batcher.run(insertion);
    const [isIn = false] = await this.insertAll([insertion]);
    return isIn;
  }

  private async insertAll(insertions: readonly Insertion[]): Promise<boolean[]> {
    const { limitBytes, limitAssets } = this.quotas.defaults;
    const items = insertions.flatMap(({ ownerId, assets, sent }) =>
      assets.map((asset) => ({
        ...asset,
        ...this.incoming.refOf(asset.id),
        ownerId: String(ownerId),
        shareExisting: !sent.has(asset),
      })),
    );
    try {
      const rows = await this.database.query(CREATE, [limitBytes, limitAssets, JSON.stringify(items)]);
      const created = new Set(rows.map(({ asset_id: id }) => id));
      return insertions.map(({ assets }) => created.has(assets[0]!.id));
    } catch (error) {
      if (insertions.length === 1 && isUniqueViolation(error)) return [false];
      throw error;
    }
  }

  /**
   * Finds those that were created before, and those that the quota has no room for, first come first served; adopts what the
   * owner has.
   */
  private async settle(
    ownerId: bigint,
    open: readonly NewAsset[],
    created: Map<NewAsset, Created>,
    sent: Set<NewAsset>,
  ): Promise<void> {
    const keys = open.flatMap(({ idempotencyKey }) => idempotencyKey ?? []);
    const [rows, quota] = await Promise.all([
      keys.length === 0 ? [] : this.database.query(FIND_REPLAYED, [ownerId, keys]),
      this.quotas.of(ownerId),
    ]);
    const replayed = new Map(rows.map((row) => [row.key, row]));
    let bytes = quota.limitBytes - quota.usedBytes - quota.reservedBytes;
    let count = quota.limitAssets - quota.usedAssets - quota.reservedAssets;
    const adoptable: NewAsset[] = [];
    for (const asset of withoutRepeatedKeys(open)) {
      const row = asset.idempotencyKey === null ? undefined : replayed.get(asset.idempotencyKey);
      if (row !== undefined) {
        created.set(asset, { outcome: 'replayed', asset: assetOf(row), fingerprint: row.fingerprint });
      } else if (grantsThePast(asset)) {
        created.set(asset, { outcome: 'grant-expired' });
      } else if (asset.sizeBytes > bytes || count < 1) {
        created.set(asset, { outcome: 'over-quota' });
      } else {
        if (!sent.has(asset)) adoptable.push(asset);
        bytes -= asset.sizeBytes;
        count -= 1;
      }
    }
    if (adoptable.length === 0) return;
    const adopted = await this.ownDuplicates.shareExisting(ownerId, adoptable);
    for (const item of adoptable) {
      const asset = adopted.get(item.id);
      if (asset === undefined) sent.add(item);
      else if (asset !== null) created.set(item, { outcome: 'created', asset });
    }
  }

  /** A new ticket lives until `urlExpiresAt`. False when the asset is no longer waiting for bytes. */
  async extend(assetId: string, urlExpiresAt: Date, uploadDeadlineAt: Date, now: Date): Promise<boolean> {
    return (await this.database.query(EXTEND, [assetId, urlExpiresAt, uploadDeadlineAt, now])).length === 1;
  }
}

/** What {@link CREATE} makes of an item. */
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

/** A grant that has expired cannot be written; a replay of one that was written is answered all the same. */
const grantsThePast = ({ acl, now }: NewAsset) =>
  acl.some(({ expiresAt }) => expiresAt !== null && expiresAt <= now);

/** Of items with the same idempotency key the first; the others are replays of it. */
function withoutRepeatedKeys(assets: readonly NewAsset[]): NewAsset[] {
  const seen = new Set<string>();
  return assets.filter(({ idempotencyKey: key }) => key === null || (!seen.has(key) && seen.add(key)));
}
