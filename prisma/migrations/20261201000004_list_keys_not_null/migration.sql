ALTER TABLE "asset_metadata" ALTER COLUMN "owner_id" SET NOT NULL, ALTER COLUMN "created_at" SET NOT NULL;
ALTER TABLE "asset_metadata" DROP CONSTRAINT "asset_metadata_keys_check";
ALTER TABLE "asset_acl" ALTER COLUMN "created_at" SET NOT NULL, ALTER COLUMN "size_bytes" SET NOT NULL,
  ALTER COLUMN "sort_name" SET NOT NULL;
ALTER TABLE "asset_acl" DROP CONSTRAINT "asset_acl_keys_check";
