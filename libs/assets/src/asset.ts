import { type Grant, grantedSql } from '#libs/access';
import type { AssetStatus, MetadataEntry, Permission, StatusReason } from '#libs/domain';

export interface AssetDetails {
  readonly metadata: readonly MetadataEntry[];
  /** The first 200 entries of the access list. */
  readonly acl: readonly Grant[];
}

/** A file: one row of `media_assets`, with the permissions of the caller for whom it was read. */
export interface Asset {
  readonly id: string;
  readonly ownerId: bigint;
  readonly bucket: string;
  readonly objectKey: string;
  readonly filename: string;
  readonly mimeType: string;
  readonly sizeBytes: number;
  readonly checksumSha256: string;
  /** Base64 of the big-endian CRC32C, as the client declared it; null when it declared none. */
  readonly crc32c: string | null;
  readonly uploadMethod: 'PUT' | 'RESUMABLE';
  readonly status: AssetStatus;
  readonly statusReason: StatusReason | null;
  readonly storedObjectId: bigint | null;
  /** Whether the stored bytes are known to be damaged. They are not served until equal bytes are uploaded again. */
  readonly isCorrupt: boolean;
  readonly claimedGeneration: string | null;
  readonly attempt: number;
  readonly requestId: string;
  readonly urlExpiresAt: Date;
  readonly uploadDeadlineAt: Date;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly readyAt: Date | null;
  readonly accessedAt: Date | null;
  readonly deletedAt: Date | null;
  readonly version: number;
  /** Set when the statement returned metadata and access list too; otherwise they are loaded on demand. */
  readonly details?: AssetDetails;
  /** Permissions that the access list grants to the caller for whom the asset was read. */
  readonly granted: readonly Permission[];
}

/** A row of {@link ASSET_COLUMNS}, as the database driver returns it. */
export interface AssetRow {
  asset_id: string;
  owner_id: string;
  bucket: string;
  object_key: string;
  filename: string;
  mime_type: string;
  size_bytes: string;
  checksum_sha256: string;
  crc32c: string | null;
  upload_method: 'PUT' | 'RESUMABLE';
  status: AssetStatus;
  status_reason: StatusReason['code'] | null;
  status_detail: string | null;
  stored_object_id: string | null;
  corrupt: boolean | null;
  claimed_generation: string | null;
  attempt: number;
  request_id: string;
  url_expires_at: Date;
  upload_deadline_at: Date;
  created_at: Date;
  updated_at: Date;
  ready_at: Date | null;
  accessed_at: Date | null;
  deleted_at: Date | null;
  version: number;
  granted?: Permission[];
}

/** The columns of `media_assets a` that {@link assetOf} reads. */
export const ASSET_COLUMNS = `a.asset_id, a.owner_id, a.bucket, a.object_key, a.filename, a.mime_type, a.size_bytes,
  a.checksum_sha256, a.crc32c, a.upload_method, a.status, a.status_reason, a.status_detail, a.stored_object_id, a.claimed_generation, a.attempt, a.request_id,
  a.url_expires_at, a.upload_deadline_at, a.created_at, a.updated_at, a.ready_at, a.accessed_at, a.deleted_at, a.version,
  (select true from stored_objects o where o.id = a.stored_object_id and o.state = 'CORRUPT') as corrupt`;

/**
 * {@link ASSET_COLUMNS} and the permissions that the access list grants to the caller.
 * @param principals placeholder of the caller's principals, for example `$2`
 */
export const assetSql = (principals: string) => `${ASSET_COLUMNS}, ${grantedSql(principals)} as granted`;

export const assetOf = (row: AssetRow): Asset => ({
  id: row.asset_id,
  ownerId: BigInt(row.owner_id),
  bucket: row.bucket,
  objectKey: row.object_key,
  filename: row.filename,
  mimeType: row.mime_type,
  sizeBytes: Number(row.size_bytes),
  checksumSha256: row.checksum_sha256,
  crc32c: row.crc32c,
  uploadMethod: row.upload_method,
  status: row.status,
  statusReason:
    row.status_reason === null ? null : { code: row.status_reason, message: row.status_detail ?? '' },
  storedObjectId: row.stored_object_id === null ? null : BigInt(row.stored_object_id),
  isCorrupt: row.corrupt === true,
  claimedGeneration: row.claimed_generation,
  attempt: row.attempt,
  requestId: row.request_id,
  urlExpiresAt: row.url_expires_at,
  uploadDeadlineAt: row.upload_deadline_at,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  readyAt: row.ready_at,
  accessedAt: row.accessed_at,
  deletedAt: row.deleted_at,
  version: row.version,
  granted: row.granted ?? [],
});
