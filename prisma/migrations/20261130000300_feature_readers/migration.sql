-- AlterTable
ALTER TABLE "media_assets" ADD COLUMN     "passed_checks" TEXT[];

-- AlterTable
ALTER TABLE "stored_objects" ADD COLUMN     "feature_properties" JSONB,
ADD COLUMN     "read_by" VARCHAR(512);
