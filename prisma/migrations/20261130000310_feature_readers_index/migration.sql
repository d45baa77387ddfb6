-- Apart from the columns, whose lock keeps readers away. This one keeps writers of stored objects away.
-- Objects by the readers that read them last, so that a search for other objects ends at once if there are none.
CREATE INDEX "stored_objects_read_idx" ON "stored_objects" ((coalesce("read_by", '')), "id") WHERE "state" = 'LIVE';
