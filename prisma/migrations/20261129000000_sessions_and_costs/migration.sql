-- AlterTable
ALTER TABLE "media_assets" ADD COLUMN     "upload_session" TEXT;

-- AlterTable
ALTER TABLE "stored_objects" ADD COLUMN     "variants_reason" VARCHAR(32);

-- CreateTable
CREATE TABLE "content_costs" (
    "scope" VARCHAR(32) NOT NULL,
    "sha256" CHAR(64) NOT NULL,
    "exhausted" INTEGER NOT NULL DEFAULT 0,
    "limits" VARCHAR(64) NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "content_costs_pkey" PRIMARY KEY ("scope","sha256")
);

-- Every read of an asset asks whether its object is corrupt; hardly ever one is.
CREATE INDEX "stored_objects_corrupt_idx" ON "stored_objects" ("id") WHERE "state" = 'CORRUPT';
