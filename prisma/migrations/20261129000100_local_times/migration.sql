-- AlterTable
ALTER TABLE "asset_properties" ADD COLUMN     "taken_at_local" TIMESTAMP(3);

-- taken_at was the instant where an offset was known, and UTC without an offset in films and sound, whose headers count in UTC.
-- Of everything else without an offset it was local time read as if it were UTC: the instant is not known.
UPDATE "asset_properties" p
SET "taken_at_local" = (p."taken_at" AT TIME ZONE 'UTC') + coalesce(p."taken_at_offset_minutes", 0) * interval '1 minute',
    "taken_at" = CASE
      WHEN p."taken_at_offset_minutes" IS NOT NULL OR a."mime_type" LIKE 'video/%' OR a."mime_type" LIKE 'audio/%'
      THEN p."taken_at" END
FROM "media_assets" a
WHERE a."asset_id" = p."asset_id" AND p."taken_at" IS NOT NULL;

-- DropIndex
DROP INDEX "asset_properties_owner_id_taken_at_asset_id_idx";

-- AlterTable
ALTER TABLE "asset_properties" DROP COLUMN "taken_at_offset_minutes";

-- CreateIndex
CREATE INDEX "asset_properties_owner_id_taken_at_local_asset_id_idx" ON "asset_properties"("owner_id", "taken_at_local", "asset_id");
