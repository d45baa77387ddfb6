-- Apart from the columns, whose lock keeps readers away. Triggers fill the rows that are added meanwhile.
UPDATE "asset_metadata" m SET "owner_id" = a."owner_id", "created_at" = a."created_at"
  FROM "media_assets" a WHERE a."asset_id" = m."asset_id" AND m."created_at" IS NULL;
UPDATE "asset_acl" g SET "created_at" = a."created_at", "size_bytes" = a."size_bytes", "sort_name" = lower(a."filename")
  FROM "media_assets" a WHERE a."asset_id" = g."asset_id" AND g."created_at" IS NULL;
