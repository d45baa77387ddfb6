-- Differences between the database, its counts and the buckets. A problem of a subject is recorded once until it is repaired.
CREATE TYPE "integrity_problem" AS ENUM ('CORRUPT', 'MISSING', 'SIZE_CHANGED', 'GENERATION_CHANGED', 'ORPHAN', 'REF_COUNT_DRIFT', 'QUOTA_DRIFT');

CREATE TABLE "integrity_findings" (
    "id" BIGSERIAL NOT NULL,
    "problem" "integrity_problem" NOT NULL,
    "subject" VARCHAR(1200) NOT NULL,
    "bucket" VARCHAR(128),
    "object_key" VARCHAR(1024),
    "asset_id" UUID,
    "stored_object_id" BIGINT,
    "detail" VARCHAR(512) NOT NULL,
    "repaired" BOOLEAN NOT NULL DEFAULT false,
    "found_at" TIMESTAMPTZ(3) NOT NULL,
    "repaired_at" TIMESTAMPTZ(3),

    CONSTRAINT "integrity_findings_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "integrity_findings_open_key" ON "integrity_findings" ("subject", "problem") WHERE NOT "repaired";
CREATE INDEX "integrity_findings_repaired_idx" ON "integrity_findings" ("repaired_at") WHERE "repaired";

-- The id by which the content bucket recognises this database.
CREATE TABLE "installation" (
    "is_only" BOOLEAN NOT NULL DEFAULT true,
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),

    CONSTRAINT "installation_pkey" PRIMARY KEY ("is_only"),
    CONSTRAINT "installation_is_only_check" CHECK ("is_only")
);
INSERT INTO "installation" DEFAULT VALUES;
