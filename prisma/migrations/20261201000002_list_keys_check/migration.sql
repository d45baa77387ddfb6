-- A check that is validated without a lock on readers and writers spares SET NOT NULL its scan.
ALTER TABLE "asset_metadata" ADD CONSTRAINT "asset_metadata_keys_check"
  CHECK ("owner_id" IS NOT NULL AND "created_at" IS NOT NULL) NOT VALID;
ALTER TABLE "asset_acl" ADD CONSTRAINT "asset_acl_keys_check"
  CHECK ("created_at" IS NOT NULL AND "size_bytes" IS NOT NULL AND "sort_name" IS NOT NULL) NOT VALID;
