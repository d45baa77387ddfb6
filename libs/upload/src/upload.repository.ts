import { Injectable } from '@nestjs/common';
import { type Asset, ASSET_COLUMNS, assetOf, type AssetRow, assetSql, IncomingObjects } from '#libs/assets';
import { Database, isUniqueViolation, type Statement } from '#libs/database';
import { TRANSITIONS } from '#libs/domain';
import { Quotas } from '#libs/quota';
import type { ParsedUploadRequest } from './upload-request.js';

export interface NewAsset extends ParsedUploadRequest {
  readonly id: string;
  readonly ownerId: bigint;
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
  | { readonly outcome: 'over-quota' };

/**
 * The hot path of requestUpload, over the tables of quota, assets, acl and events: the reservation and everything that
 * stands on it, or nothing. No row means that the reservation would have passed the limit.
 */
const CREATE: Statement<AssetRow> = {
  name: 'upload_create',
  text: `with quota as (
      insert into owner_quotas as q (owner_id, reserved_bytes, reserved_assets)
      select $1::bigint, $2::bigint, 1
        where exists (select 1 from owner_quotas where owner_id = $1::bigint) or ($2::bigint <= $3::bigint and 1 <= $4::int)
      on conflict (owner_id) do update
        set reserved_bytes = q.reserved_bytes + excluded.reserved_bytes, reserved_assets = q.reserved_assets + 1
        where q.used_bytes + q.reserved_bytes + excluded.reserved_bytes <= coalesce(q.limit_bytes, $3::bigint)
          and q.used_assets + q.reserved_assets + 1 <= coalesce(q.limit_assets, $4::int)
      returning owner_id),
    created as (
      insert into media_assets (asset_id, owner_id, bucket, object_key, filename, mime_type, declared_type, size_bytes,
        checksum_sha256, status, upload_method, idempotency_key, idempotency_fingerprint, request_id, url_expires_at,
        upload_deadline_at, next_check_at, created_at, updated_at)
      select $5::uuid, owner_id, $6, $7, $8, $9, $9, $2::bigint, $10, 'PENDING', $11::upload_method, $12, $13, $14, $15,
        $16, $17, $18, $18 from quota
      returning *),
    described as (
      insert into asset_metadata (asset_id, key, value)
      select c.asset_id, m.key, m.value from created c, unnest($19::text[], $20::text[]) as m (key, value)),
    shared as (
      insert into asset_acl (asset_id, principal, permission, expires_at)
      select c.asset_id, g.principal, g.permission::permission, g.expires_at
      from created c, unnest($21::text[], $22::text[], $23::timestamptz[]) as g (principal, permission, expires_at)),
    logged as (
      insert into domain_events (type, asset_id, owner_id)
      select '${TRANSITIONS.request.event}', asset_id, owner_id from created)
    select ${ASSET_COLUMNS} from created a`,
};

const FIND_REPLAYED: Statement<AssetRow & { fingerprint: string }> = {
  name: 'upload_find_replayed',
  text: `select ${assetSql('$3')}, a.idempotency_fingerprint as fingerprint
    from media_assets a where a.owner_id = $1 and a.idempotency_key = $2`,
};

const EXTEND: Statement<{ asset_id: string }> = {
  name: 'upload_extend',
  text: `update media_assets set url_expires_at = $2, upload_deadline_at = greatest(upload_deadline_at, $3),
      updated_at = $4, version = version + 1
    where asset_id = $1 and status = 'PENDING' and upload_deadline_at > $4 returning asset_id`,
};

@Injectable()
export class UploadRepository {
  constructor(
    private readonly database: Database,
    private readonly quotas: Quotas,
    private readonly incoming: IncomingObjects,
  ) {}

  /** Reserves quota and creates the asset in one statement. A repeated idempotency key reserves nothing. */
  async create(asset: NewAsset): Promise<Created> {
    const replay = async () => {
      if (asset.idempotencyKey === null) return null;
      const [row] = await this.database.query(FIND_REPLAYED, [asset.ownerId, asset.idempotencyKey, []]);
      return row === undefined
        ? null
        : ({ outcome: 'replayed', asset: assetOf(row), fingerprint: row.fingerprint } as const);
    };
    try {
      const [row] = await this.database.query(CREATE, this.valuesOf(asset));
      if (row === undefined) return (await replay()) ?? { outcome: 'over-quota' };
      return {
        outcome: 'created',
        asset: { ...assetOf(row), metadata: asset.metadata, acl: asset.acl },
      };
    } catch (error) {
      const replayed = isUniqueViolation(error) ? await replay() : null;
      if (replayed === null) throw error;
      return replayed;
    }
  }

  /** A new ticket lives until `urlExpiresAt`. False when the asset is no longer waiting for bytes. */
  async extend(assetId: string, urlExpiresAt: Date, uploadDeadlineAt: Date, now: Date): Promise<boolean> {
    return (await this.database.query(EXTEND, [assetId, urlExpiresAt, uploadDeadlineAt, now])).length === 1;
  }

  private valuesOf(asset: NewAsset): unknown[] {
    const { bucket, key } = this.incoming.refOf(asset.id);
    return [
      asset.ownerId,
      asset.sizeBytes,
      this.quotas.defaults.limitBytes,
      this.quotas.defaults.limitAssets,
      asset.id,
      bucket,
      key,
      asset.filename,
      asset.mimeType,
      asset.checksumSha256,
      asset.method,
      asset.idempotencyKey,
      asset.fingerprint,
      asset.requestId,
      asset.urlExpiresAt,
      asset.uploadDeadlineAt,
      asset.nextCheckAt,
      asset.now,
      asset.metadata.map(({ key }) => key),
      asset.metadata.map(({ value }) => value),
      asset.acl.map(({ principal }) => principal),
      asset.acl.map(({ permission }) => permission),
      asset.acl.map(({ expiresAt }) => expiresAt),
    ];
  }
}
