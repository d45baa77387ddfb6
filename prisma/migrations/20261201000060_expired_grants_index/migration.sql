-- Expired grants are removed in the order in which they expired.
CREATE INDEX "asset_acl_expires_at_idx" ON "asset_acl" ("expires_at") WHERE "expires_at" IS NOT NULL;
