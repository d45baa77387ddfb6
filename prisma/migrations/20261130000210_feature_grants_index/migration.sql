-- Features revoke the grants of one of their principals without knowing the assets.
CREATE INDEX "asset_acl_features_idx" ON "asset_acl" ("principal", "asset_id")
  WHERE "principal" <> '*' AND "principal" NOT LIKE 'user:%' AND "principal" NOT LIKE 'group:%';
