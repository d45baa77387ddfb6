-- One index for each order of a list. A page of an owner's assets is merged from one scan for each status, a page of shared assets from
-- one scan for each principal.
CREATE INDEX "media_assets_owner_id_status_size_bytes_asset_id_idx" ON "media_assets"("owner_id", "status", "size_bytes", "asset_id");
CREATE INDEX "media_assets_names_idx" ON "media_assets" ("owner_id", "status", (lower("filename") COLLATE "C"), "asset_id");

-- Callers list what was granted to users, groups and everyone; features list their own.
CREATE INDEX "asset_acl_created_idx" ON "asset_acl" ("principal", "created_at", "asset_id")
  WHERE "principal" = '*' OR "principal" LIKE 'user:%' OR "principal" LIKE 'group:%';
CREATE INDEX "asset_acl_sizes_idx" ON "asset_acl" ("principal", "size_bytes", "asset_id")
  WHERE "principal" = '*' OR "principal" LIKE 'user:%' OR "principal" LIKE 'group:%';
CREATE INDEX "asset_acl_names_idx" ON "asset_acl" ("principal", "sort_name", "asset_id")
  WHERE "principal" = '*' OR "principal" LIKE 'user:%' OR "principal" LIKE 'group:%';

-- Filters that select few assets: by metadata, of which the first characters of a value are indexed, and by checksum.
CREATE INDEX "asset_metadata_values_idx" ON "asset_metadata" ("owner_id", "key", left("value", 128), "created_at", "asset_id");
CREATE INDEX "media_assets_own_checksums_idx" ON "media_assets" ("owner_id", "checksum_sha256", "created_at", "asset_id")
  WHERE "status" = 'READY';
DROP INDEX "media_assets_own_bytes_idx";

-- Operators look for uploads that did not succeed, of all owners.
CREATE INDEX "media_assets_unsuccessful_idx" ON "media_assets" ("status", "asset_id")
  WHERE "status" IN ('REJECTED', 'FAILED', 'EXPIRED', 'CANCELLED');
