import { type Grant, type GrantedEnds, grantedOf, type GrantedPermission } from '#libs/access';
import { columnsSql, type MediaAsset } from '#libs/database';
import type { MetadataEntry, StatusReason } from '#libs/domain';

/** The columns of an {@link Asset}. */
const COLUMNS = [
  'assetId',
  'ownerId',
  'bucket',
  'objectKey',
  'filename',
  'mimeType',
  'sizeBytes',
  'checksumSha256',
  'crc32c',
  'uploadMethod',
  'status',
  'statusReason',
  'statusDetail',
  'storedObjectId',
  'claimedGeneration',
  'attempt',
  'requestId',
  'replaces',
  'replacesObject',
  'urlExpiresAt',
  'uploadDeadlineAt',
  'createdAt',
  'updatedAt',
  'readyAt',
  'accessedAt',
  'deletedAt',
  'version',
] as const;

type Columns = Pick<MediaAsset, (typeof COLUMNS)[number]>;

export interface AssetDetails {
  readonly metadata: readonly MetadataEntry[];
  /** All grants of the access list: those of clients and of features. */
  readonly acl: readonly Grant[];
}

/** A file: one row of `media_assets`, with the permissions of the caller for whom it was read. */
export interface Asset extends Readonly<
  Omit<Columns, 'assetId' | 'sizeBytes' | 'statusReason' | 'statusDetail'>
> {
  readonly id: string;
  readonly sizeBytes: number;
  readonly statusReason: StatusReason | null;
  /** Whether the stored bytes are known to be damaged. They are not served until equal bytes are uploaded again. */
  readonly isCorrupt: boolean;
  /** Set when the statement returned metadata and access list too; otherwise they are loaded on demand. */
  readonly details?: AssetDetails;
  /** Permissions that the access list grants to the caller for whom the asset was read. */
  readonly granted: readonly GrantedPermission[];
}

/** A row of {@link ASSET_COLUMNS} or {@link assetSql}. */
export type AssetRow = Columns & { isCorrupt: true | null; granted?: GrantedEnds };

/** The columns of `media_assets a` that {@link assetOf} reads. */
export const ASSET_COLUMNS = `${columnsSql<MediaAsset>('a', COLUMNS)},
  (select true from stored_objects o where o.id = a.stored_object_id and o.state = 'CORRUPT') as "isCorrupt"`;

/**
 * {@link ASSET_COLUMNS} and the permissions that the access list grants to the caller.
 * @param granted expression that `accessStatement` provides
 */
export const assetSql = (granted: string) => `${ASSET_COLUMNS}, ${granted} as granted`;

/** Names every column, because a rest pattern that leaves some out takes many times as long. */
export const assetOf = (row: AssetRow): Asset => ({
  id: row.assetId,
  ownerId: row.ownerId,
  bucket: row.bucket,
  objectKey: row.objectKey,
  filename: row.filename,
  mimeType: row.mimeType,
  sizeBytes: Number(row.sizeBytes),
  checksumSha256: row.checksumSha256,
  crc32c: row.crc32c,
  uploadMethod: row.uploadMethod,
  status: row.status,
  statusReason:
    row.statusReason === null
      ? null
      : ({ code: row.statusReason, message: row.statusDetail ?? '' } as StatusReason),
  storedObjectId: row.storedObjectId,
  isCorrupt: row.isCorrupt === true,
  claimedGeneration: row.claimedGeneration,
  attempt: row.attempt,
  requestId: row.requestId,
  replaces: row.replaces,
  replacesObject: row.replacesObject,
  urlExpiresAt: row.urlExpiresAt,
  uploadDeadlineAt: row.uploadDeadlineAt,
  createdAt: row.createdAt,
  updatedAt: row.updatedAt,
  readyAt: row.readyAt,
  accessedAt: row.accessedAt,
  deletedAt: row.deletedAt,
  version: row.version,
  granted: row.granted === undefined ? [] : grantedOf(row.granted),
});
