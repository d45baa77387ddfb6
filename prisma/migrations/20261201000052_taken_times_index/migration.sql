CREATE INDEX "asset_acl_taken_idx" ON "asset_acl" ("principal", "taken_at_local", "asset_id")
  WHERE "taken_at_local" IS NOT NULL AND ("principal" = '*' OR "principal" LIKE 'user:%' OR "principal" LIKE 'group:%');
