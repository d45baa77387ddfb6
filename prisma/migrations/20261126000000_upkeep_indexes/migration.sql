-- By what was noted last, so that whoever looks for something else finds at once that there is none.
CREATE INDEX "stored_objects_scanned_idx" ON "stored_objects" ((coalesce("scanned_by", '')), "id") WHERE "state" = 'LIVE';
DROP INDEX "stored_objects_live_idx";
DROP INDEX "stored_objects_derived_idx";
CREATE INDEX "stored_objects_derived_idx" ON "stored_objects" ("variant_specs", "id") WHERE "state" = 'LIVE' AND "variant_specs" IS NOT NULL;
