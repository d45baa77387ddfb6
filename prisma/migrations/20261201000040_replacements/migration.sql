-- Uploads that replace the bytes of another asset. There is no foreign key: the upload ends by itself if the asset is gone.
ALTER TABLE "media_assets" ADD COLUMN     "replaces" UUID,
ADD COLUMN     "replaces_object" BIGINT;
