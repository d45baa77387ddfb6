import { Injectable } from '@nestjs/common';
import { type Asset, IncomingObjectsService } from '#libs/assets';
import { Batcher, Database, isUniqueViolation, statement, type Tx } from '#libs/database';
import { type ObjectRef, TRANSITIONS } from '#libs/domain';
import { QuotaService } from '#libs/quota';
import { OwnDuplicatesRepository } from './own-duplicates.repository.js';
import { UploadPolicies } from './upload-policies.js';
import { detailsSql, existingAssetSql, ITEM } from './upload-sql.js';
import { UploadConfig } from './upload.config.js';
import type { Created, NewAsset } from './upload.repository.js';

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
        upload_deadline_at, next_check_at, created_at, updated_at, replaces, replaces_object)
      select i.id, i."ownerId", i.bucket, i.key, i.filename, i."mimeType", i."mimeType", i."sizeBytes", i."checksumSha256",
        i.crc32c, 'PENDING', i.method, i."idempotencyKey", i.fingerprint, i."requestId", i."urlExpiresAt", i."uploadDeadlineAt",
        i."nextCheckAt", i.now, i.now, i.replaces, i."replacesObject"
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
export interface Insertion {
  readonly ownerId: bigint;
  readonly assets: readonly NewAsset[];
  /** Assets that are created even if the owner seems to have their bytes. */
  readonly mustSend: ReadonlySet<NewAsset>;
}

/** Writes new assets with their quota, details and events. */
@Injectable()
export class NewAssetsRepository {
  private readonly batcher: Batcher<Insertion, boolean>;

  constructor(
    private readonly database: Database,
    private readonly quotas: QuotaService,
    private readonly incoming: IncomingObjectsService,
    private readonly ownDuplicates: OwnDuplicatesRepository,
    private readonly policies: UploadPolicies,
    { batches = BATCHES }: UploadConfig,
  ) {
    this.batcher = new Batcher((all) => this.insertAll(all), batches);
  }

  /**
   * Inserts all assets or none; one by one if a policy writes with each. Sets no outcome for an asset that is not inserted: the
   * quota does not suffice, an idempotency key was used before, or the owner has the bytes of one asset; on the first try also
   * when this applies to another request of the owner in the batch.
   * @param created receives the outcomes, also those before an error
   * @throws StowageError unavailable
   */
  async insert(insertion: Insertion, isFirstTry: boolean, created: Map<NewAsset, Created>): Promise<void> {
    const { ownerId, assets, mustSend } = insertion;
    if (this.policies.hasWriters) {
      for (const item of assets) {
        const outcome = await this.createWithPolicies(async (tx) => {
          const [isInserted] = await this.insertAll([{ ownerId, assets: [item], mustSend }], tx);
          return isInserted ? this.assetOf(item, ownerId) : null;
        });
        if (outcome !== null) created.set(item, outcome);
      }
      return;
    }
    const isSingle = isFirstTry && assets.length === 1;
    const isInserted = isSingle ? await this.batcher.run(insertion) : (await this.insertAll([insertion]))[0];
    if (!isInserted) return;
    for (const item of assets) created.set(item, { outcome: 'created', asset: this.assetOf(item, ownerId) });
  }

  /**
   * Creates assets that share existing bytes of their owner, as {@link OwnDuplicatesRepository.shareExisting} describes.
   * @param created receives the outcomes, also those before an error
   * @returns the items whose bytes must be sent
   * @throws StowageError unavailable
   */
  async share(
    ownerId: bigint,
    items: readonly NewAsset[],
    created: Map<NewAsset, Created>,
  ): Promise<readonly NewAsset[]> {
    if (!this.policies.hasWriters) {
      const shared = await this.ownDuplicates.shareExisting(ownerId, items);
      for (const item of items) {
        const asset = shared.get(item.id);
        if (asset) created.set(item, { outcome: 'created', asset });
      }
      return items.filter(({ id }) => !shared.has(id));
    }
    const toSend: NewAsset[] = [];
    for (const item of items) {
      let isShareable = false;
      const outcome = await this.createWithPolicies(async (tx) => {
        const asset = (await this.ownDuplicates.shareExisting(ownerId, [item], tx)).get(item.id);
        isShareable = asset !== undefined;
        return asset ?? null;
      });
      if (!isShareable) toSend.push(item);
      else if (outcome !== null) created.set(item, outcome);
    }
    return toSend;
  }

  /** @param create writes an asset, or returns null if it cannot be created */
  private async createWithPolicies(create: (tx: Tx) => Promise<Asset | null>): Promise<Created | null> {
    try {
      return await this.database.transaction(async (tx) => {
        const asset = await create(tx);
        if (asset === null) return null;
        await this.policies.created(tx, asset);
        return { outcome: 'created', asset };
      });
    } catch (error) {
      const refusal = this.policies.refusalOf(error);
      if (refusal === null) throw error;
      return { outcome: 'refused', refusal };
    }
  }

  private async insertAll(insertions: readonly Insertion[], tx?: Tx): Promise<boolean[]> {
    const { limitBytes, limitAssets } = this.quotas.defaults;
    const { requiredChecks: checks } = this.ownDuplicates;
    const items = insertions.flatMap(({ ownerId, assets, mustSend }) =>
      assets.map((asset) => ({
        ...asset,
        ...this.incoming.refOf(asset.id),
        ownerId: String(ownerId),
        adopt: !mustSend.has(asset),
        checks,
        replaces: asset.replaces?.assetId,
        replacesObject: asset.replaces && String(asset.replaces.objectId),
      })),
    );
    try {
      const rows = await this.database.query(CREATE, [limitBytes, limitAssets, JSON.stringify(items)], tx);
      const created = new Set(rows.map(({ id }) => id));
      return insertions.map(({ assets }) => created.has(assets[0]!.id));
    } catch (error) {
      if (insertions.length === 1 && isUniqueViolation(error)) return [false];
      throw error;
    }
  }

  private assetOf(item: NewAsset, ownerId: bigint): Asset {
    return newAssetOf(item, ownerId, this.incoming.refOf(item.id));
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
  replaces: item.replaces?.assetId ?? null,
  replacesObject: item.replaces?.objectId ?? null,
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
