ALTER TABLE "asset_metadata" VALIDATE CONSTRAINT "asset_metadata_keys_check";
ALTER TABLE "asset_acl" VALIDATE CONSTRAINT "asset_acl_keys_check";
