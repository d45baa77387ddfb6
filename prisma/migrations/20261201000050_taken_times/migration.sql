-- A copy of the local time of taking, by which lists of granted assets are ordered. The triggers come before the column, whose lock keeps
-- readers away.
CREATE FUNCTION "asset_properties_copy"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE asset_acl SET taken_at_local = NEW.taken_at_local
    WHERE asset_id = coalesce(NEW.asset_id, OLD.asset_id) AND taken_at_local IS DISTINCT FROM NEW.taken_at_local;
  RETURN NULL;
END $$;
CREATE TRIGGER "asset_properties_copy" AFTER INSERT ON "asset_properties"
  FOR EACH ROW WHEN (NEW.taken_at_local IS NOT NULL) EXECUTE FUNCTION "asset_properties_copy"();
CREATE TRIGGER "asset_properties_copy_change" AFTER UPDATE OF "taken_at_local" OR DELETE ON "asset_properties"
  FOR EACH ROW EXECUTE FUNCTION "asset_properties_copy"();

-- The time is read after the asset is locked: transactions that change the properties of an asset lock it first.
CREATE OR REPLACE FUNCTION "asset_acl_copy"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT created_at, size_bytes, lower(filename) INTO NEW.created_at, NEW.size_bytes, NEW.sort_name FROM media_assets
    WHERE asset_id = NEW.asset_id FOR NO KEY UPDATE;
  SELECT taken_at_local INTO NEW.taken_at_local FROM asset_properties WHERE asset_id = NEW.asset_id;
  RETURN NEW;
END $$;

ALTER TABLE "asset_acl" ADD COLUMN     "taken_at_local" TIMESTAMP(3);
