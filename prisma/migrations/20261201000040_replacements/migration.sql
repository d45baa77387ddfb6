-- Uploads that replace the bytes of another asset. There is no foreign key: the upload ends by itself if the asset is gone.
ALTER TABLE "media_assets" ADD COLUMN     "replaces" UUID,
ADD COLUMN     "replaces_object" BIGINT;

-- A worker of an older release does not know replacements and would make the upload READY. Its job fails instead, and is tried again.
ALTER TABLE "media_assets" ADD CONSTRAINT "media_assets_replacement_check"
  CHECK ("replaces" IS NULL OR "status" <> 'READY') NOT VALID;
