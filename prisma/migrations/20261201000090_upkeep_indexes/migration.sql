-- Tasks read rows in the order in which they become due.
CREATE INDEX "media_assets_deleted_idx" ON "media_assets" ("deleted_at", "asset_id") WHERE "status" = 'DELETED';
CREATE INDEX "media_assets_finished_idx" ON "media_assets" ("updated_at", "asset_id")
  WHERE "status" IN ('EXPIRED', 'CANCELLED', 'REJECTED');
CREATE INDEX "stored_objects_unverified_idx" ON "stored_objects" ("last_verified_at" NULLS FIRST, "id") WHERE "state" = 'LIVE';
-- In the order in which stores list keys.
CREATE UNIQUE INDEX "object_copies_bucket_key_key" ON "object_copies" ("bucket", "key" COLLATE "C");
CREATE UNIQUE INDEX "object_variants_bucket_key_key" ON "object_variants" ("bucket", "key" COLLATE "C");
-- Tells an object whose asset was purged from one whose asset this database never knew.
CREATE INDEX "domain_events_purged_idx" ON "domain_events" ("asset_id") WHERE "type" = 'asset.purged';
