-- Copies of the values of an asset by which lists are ordered and found, so that each list reads one index.
ALTER TABLE "asset_metadata" ADD COLUMN     "owner_id" BIGINT,
ADD COLUMN     "created_at" TIMESTAMPTZ(3);
ALTER TABLE "asset_acl" ADD COLUMN     "created_at" TIMESTAMPTZ(3),
ADD COLUMN     "size_bytes" BIGINT,
ADD COLUMN     "sort_name" TEXT COLLATE "C";

-- For writers that do not give the values: features, and an older release during a deployment. The lock keeps the asset from changing
-- before the row exists that a change must update.
CREATE FUNCTION "asset_metadata_copy"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT owner_id, created_at INTO NEW.owner_id, NEW.created_at FROM media_assets
    WHERE asset_id = NEW.asset_id FOR NO KEY UPDATE;
  RETURN NEW;
END $$;
CREATE TRIGGER "asset_metadata_copy" BEFORE INSERT ON "asset_metadata"
  FOR EACH ROW WHEN (NEW.created_at IS NULL) EXECUTE FUNCTION "asset_metadata_copy"();

CREATE FUNCTION "asset_acl_copy"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT created_at, size_bytes, lower(filename) INTO NEW.created_at, NEW.size_bytes, NEW.sort_name FROM media_assets
    WHERE asset_id = NEW.asset_id FOR NO KEY UPDATE;
  RETURN NEW;
END $$;
CREATE TRIGGER "asset_acl_copy" BEFORE INSERT ON "asset_acl"
  FOR EACH ROW WHEN (NEW.created_at IS NULL) EXECUTE FUNCTION "asset_acl_copy"();

-- Only updates that name one of the columns pay for the trigger; transitions name none.
CREATE FUNCTION "media_assets_copy"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.owner_id <> OLD.owner_id THEN
    UPDATE asset_metadata SET owner_id = NEW.owner_id WHERE asset_id = NEW.asset_id;
    UPDATE asset_properties SET owner_id = NEW.owner_id WHERE asset_id = NEW.asset_id;
  END IF;
  IF NEW.size_bytes <> OLD.size_bytes OR NEW.filename <> OLD.filename THEN
    UPDATE asset_acl SET size_bytes = NEW.size_bytes, sort_name = lower(NEW.filename) WHERE asset_id = NEW.asset_id;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER "media_assets_copy" AFTER UPDATE OF "owner_id", "size_bytes", "filename" ON "media_assets"
  FOR EACH ROW EXECUTE FUNCTION "media_assets_copy"();
