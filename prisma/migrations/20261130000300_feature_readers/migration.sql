-- AlterTable
ALTER TABLE "media_assets" ADD COLUMN     "passed_checks" TEXT[];

-- AlterTable
ALTER TABLE "stored_objects" ADD COLUMN     "feature_properties" JSONB,
ADD COLUMN     "read_by" VARCHAR(512);

-- Objects by the readers that read them last, so that a search for other objects ends at once if there are none.
CREATE INDEX "stored_objects_read_idx" ON "stored_objects" ((coalesce("read_by", '')), "id") WHERE "state" = 'LIVE';
