-- The copies were filled from one snapshot, so those of assets whose bytes were replaced meanwhile can be out of date. The second statement
-- reads the current times, which the locks keep.
DO $$
DECLARE stale uuid[];
BEGIN
  SELECT array_agg(asset_id) INTO stale FROM (
    SELECT asset_id FROM media_assets WHERE asset_id IN (
      SELECT g.asset_id FROM asset_acl g WHERE g.taken_at_local IS NOT NULL AND NOT EXISTS (
        SELECT FROM asset_properties p WHERE p.asset_id = g.asset_id AND p.taken_at_local = g.taken_at_local))
    ORDER BY asset_id FOR NO KEY UPDATE) a;
  UPDATE asset_acl g SET taken_at_local = (SELECT p.taken_at_local FROM asset_properties p WHERE p.asset_id = g.asset_id)
    WHERE g.asset_id = ANY(stale);
END $$;
