import { insertGrantsSql } from '#libs/access';
import { OCTET_STREAM } from '#libs/domain';

/** The new assets, passed as JSON in `$3`. */
export const ITEM = `item as (
      select * from jsonb_to_recordset($3::jsonb) as i (id uuid, "ownerId" bigint, bucket text, key text, filename text,
        "mimeType" text, "sizeBytes" bigint, "checksumSha256" char(64), crc32c text, method upload_method, "idempotencyKey" text,
        fingerprint text, "requestId" text, "urlExpiresAt" timestamptz, "uploadDeadlineAt" timestamptz, "nextCheckAt" timestamptz,
        now timestamptz, metadata jsonb, acl jsonb, adopt boolean, checks text[], replaces uuid, "replacesObject" bigint))`;

/**
 * A READY asset of the same owner with the bytes of each `item i`. The checksum has the type of its column, and the join is limited
 * to one row: compared as text, or without the limit, the planner would not use the index of checksums and would read all READY
 * assets of the owner. An asset counts only if its bytes passed the content checks that the item names, if any.
 */
export const existingAssetSql = (columns: string) => `lateral (
        select ${columns} from media_assets a where a.owner_id = i."ownerId" and a.checksum_sha256 = i."checksumSha256"
          and a.status = 'READY' and a.size_bytes = i."sizeBytes" and (a.mime_type = i."mimeType" or i."mimeType" = '${OCTET_STREAM}')
          and (i.checks is null or a.passed_checks @> i.checks)
        limit 1)`;

/** Inserts metadata and access lists of new assets. */
export const detailsSql = (items: string) => `described as (
      insert into asset_metadata (asset_id, key, value, owner_id, created_at)
      select i.id, m.key, m.value, i."ownerId", i.now from ${items} i, jsonb_to_recordset(i.metadata) as m (key text, value text)),
    shared as (${insertGrantsSql(items)})`;
