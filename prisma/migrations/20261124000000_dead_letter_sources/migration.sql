ALTER TABLE "dead_letters" ADD COLUMN "source_id" VARCHAR(255);
CREATE UNIQUE INDEX "dead_letters_source_source_id_key" ON "dead_letters"("source", "source_id");

-- FAILED assets come up once their bytes have been kept long enough.
DROP INDEX "media_assets_unfinished_idx";
CREATE INDEX "media_assets_unfinished_idx" ON "media_assets" ("next_check_at")
  WHERE "status" IN ('PENDING', 'PROCESSING', 'FAILED');
UPDATE "media_assets" SET "next_check_at" = now() + interval '7 days' WHERE "status" = 'FAILED';
