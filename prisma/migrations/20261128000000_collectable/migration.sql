-- What the collector takes next, and not all that nobody points at.
DROP INDEX "stored_objects_unreferenced_idx";
CREATE INDEX "stored_objects_unreferenced_idx" ON "stored_objects" ("pinned_until" NULLS FIRST, "id") WHERE "ref_count" = 0;
