-- Apart from the column, whose lock keeps readers away. Triggers fill the rows that are added meanwhile.
UPDATE "asset_acl" g SET "taken_at_local" = p."taken_at_local"
  FROM "asset_properties" p WHERE p."asset_id" = g."asset_id" AND p."taken_at_local" IS NOT NULL AND g."taken_at_local" IS NULL;
