-- Only users and groups can have more than READ. Older rows have no other principals, so they need no scan under the table's lock.
ALTER TABLE "asset_acl" ADD CONSTRAINT "asset_acl_others_read_check"
  CHECK ("permission" = 'READ' OR "principal" LIKE 'user:%' OR "principal" LIKE 'group:%') NOT VALID;
