-- AlterTable
ALTER TABLE "media_assets" ADD COLUMN     "scanned_by" VARCHAR(128);

-- AlterTable
ALTER TABLE "stored_objects" ADD COLUMN     "scanned_by" VARCHAR(128),
ADD COLUMN     "scanned_at" TIMESTAMPTZ(3),
ADD COLUMN     "variant_specs" VARCHAR(512),
ADD COLUMN     "claimed_until" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "asset_properties" (
    "asset_id" UUID NOT NULL,
    "owner_id" BIGINT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "width" INTEGER,
    "height" INTEGER,
    "duration_seconds" DOUBLE PRECISION,
    "page_count" INTEGER,
    "taken_at" TIMESTAMPTZ(3),
    "taken_at_offset_minutes" SMALLINT,
    "camera_make" VARCHAR(128),
    "camera_model" VARCHAR(128),
    "has_location" BOOLEAN,
    "latitude" DOUBLE PRECISION,
    "longitude" DOUBLE PRECISION,
    "title" VARCHAR(512),
    "artist" VARCHAR(512),
    "album" VARCHAR(512),
    "thumbhash" VARCHAR(64),

    CONSTRAINT "asset_properties_pkey" PRIMARY KEY ("asset_id")
);

-- CreateTable
CREATE TABLE "object_variants" (
    "stored_object_id" BIGINT NOT NULL,
    "spec" VARCHAR(64) NOT NULL,
    "name" VARCHAR(32) NOT NULL,
    "mime_type" VARCHAR(128) NOT NULL,
    "width" INTEGER NOT NULL,
    "height" INTEGER NOT NULL,
    "size_bytes" INTEGER NOT NULL,
    "bucket" VARCHAR(128) NOT NULL,
    "key" VARCHAR(1024) NOT NULL,
    "version" VARCHAR(128),
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "object_variants_pkey" PRIMARY KEY ("stored_object_id","spec")
);

-- CreateIndex
CREATE INDEX "asset_properties_owner_id_taken_at_asset_id_idx" ON "asset_properties"("owner_id", "taken_at", "asset_id");

-- AddForeignKey
ALTER TABLE "asset_properties" ADD CONSTRAINT "asset_properties_asset_id_fkey" FOREIGN KEY ("asset_id") REFERENCES "media_assets"("asset_id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "object_variants" ADD CONSTRAINT "object_variants_stored_object_id_fkey" FOREIGN KEY ("stored_object_id") REFERENCES "stored_objects"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- One index for each filter, in the order of the lists, of those alone that have the property.
CREATE INDEX "asset_properties_camera_make_idx" ON "asset_properties" ("owner_id", lower("camera_make"), "created_at", "asset_id") WHERE "camera_make" IS NOT NULL;
CREATE INDEX "asset_properties_camera_model_idx" ON "asset_properties" ("owner_id", lower("camera_model"), "created_at", "asset_id") WHERE "camera_model" IS NOT NULL;
CREATE INDEX "asset_properties_title_idx" ON "asset_properties" ("owner_id", lower("title"), "created_at", "asset_id") WHERE "title" IS NOT NULL;
CREATE INDEX "asset_properties_artist_idx" ON "asset_properties" ("owner_id", lower("artist"), "created_at", "asset_id") WHERE "artist" IS NOT NULL;
CREATE INDEX "asset_properties_album_idx" ON "asset_properties" ("owner_id", lower("album"), "created_at", "asset_id") WHERE "album" IS NOT NULL;
CREATE INDEX "asset_properties_has_location_idx" ON "asset_properties" ("owner_id", "has_location", "created_at", "asset_id") WHERE "has_location" IS NOT NULL;

-- What is scanned and derived again, by what was noted last, so that whoever looks for something else finds at once that there is
-- none; and what was found infected.
CREATE INDEX "stored_objects_scanned_idx" ON "stored_objects" ((coalesce("scanned_by", '')), "id") WHERE "state" = 'LIVE';
CREATE INDEX "stored_objects_derived_idx" ON "stored_objects" ("variant_specs", "id") WHERE "state" = 'LIVE' AND "variant_specs" IS NOT NULL;
CREATE INDEX "stored_objects_quarantined_idx" ON "stored_objects" ("id") WHERE "state" = 'QUARANTINED';
