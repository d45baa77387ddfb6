import { OCTET_STREAM } from '#libs/domain';

/** What the statements of this lib are given as `$3`: new assets, with what they need beside that. */
export const ITEM = `item as (
      select * from jsonb_to_recordset($3::jsonb) as i (id uuid, "ownerId" bigint, bucket text, key text, filename text,
        "mimeType" text, "sizeBytes" bigint, "checksumSha256" char(64), crc32c text, method upload_method, "idempotencyKey" text,
        fingerprint text, "requestId" text, "urlExpiresAt" timestamptz, "uploadDeadlineAt" timestamptz, "nextCheckAt" timestamptz,
        now timestamptz, metadata jsonb, acl jsonb, adopt boolean))`;

/**
 * READY bytes of the same owner for each `item i`. The checksum has the type of its column: compared as text, no index of it
 * can be used, and every request would read all READY assets of its owner; joined without the limit, that is what the planner
 * chooses.
 */
export const existingAssetSql = (columns: string) => `lateral (
        select ${columns} from media_assets a where a.owner_id = i."ownerId" and a.checksum_sha256 = i."checksumSha256"
          and a.status = 'READY' and a.size_bytes = i."sizeBytes" and (a.mime_type = i."mimeType" or i."mimeType" = '${OCTET_STREAM}')
        limit 1)`;

/** Metadata and access lists of new assets. */
export const detailsSql = (items: string) => `described as (
      insert into asset_metadata (asset_id, key, value)
      select i.id, m.key, m.value from ${items} i, jsonb_to_recordset(i.metadata) as m (key text, value text)),
    shared as (
      insert into asset_acl (asset_id, principal, permission, expires_at)
      select i.id, g.principal, g.permission, g."expiresAt" from ${items} i,
        jsonb_to_recordset(i.acl) as g (principal text, permission permission, "expiresAt" timestamptz))`;
