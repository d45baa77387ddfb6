-- CreateEnum
CREATE TYPE "asset_status" AS ENUM ('PENDING', 'PROCESSING', 'READY', 'REJECTED', 'FAILED', 'EXPIRED', 'CANCELLED', 'DELETED');

-- CreateEnum
CREATE TYPE "upload_method" AS ENUM ('PUT', 'RESUMABLE');

-- CreateEnum
CREATE TYPE "permission" AS ENUM ('READ', 'WRITE', 'DELETE');

-- CreateEnum
CREATE TYPE "object_state" AS ENUM ('STAGING', 'LIVE', 'DELETING', 'QUARANTINED', 'CORRUPT');

-- CreateTable
CREATE TABLE "media_assets" (
    "asset_id" UUID NOT NULL,
    "owner_id" BIGINT NOT NULL,
    "bucket" VARCHAR(128) NOT NULL,
    "object_key" VARCHAR(1024) NOT NULL,
    "filename" VARCHAR(255) NOT NULL,
    "mime_type" VARCHAR(128) NOT NULL,
    "declared_type" VARCHAR(128) NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "checksum_sha256" CHAR(64) NOT NULL,
    "crc32c" CHAR(8),
    "status" "asset_status" NOT NULL,
    "status_reason" VARCHAR(32),
    "status_detail" VARCHAR(512),
    "stored_object_id" BIGINT,
    "upload_method" "upload_method" NOT NULL,
    "claimed_generation" VARCHAR(64),
    "attempt" INTEGER NOT NULL DEFAULT 0,
    "incoming_present" BOOLEAN NOT NULL DEFAULT false,
    "idempotency_key" VARCHAR(128),
    "idempotency_fingerprint" CHAR(64),
    "request_id" VARCHAR(64) NOT NULL,
    "url_expires_at" TIMESTAMPTZ(3) NOT NULL,
    "upload_deadline_at" TIMESTAMPTZ(3) NOT NULL,
    "next_check_at" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,
    "ready_at" TIMESTAMPTZ(3),
    "accessed_at" TIMESTAMPTZ(3),
    "deleted_at" TIMESTAMPTZ(3),
    "version" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "media_assets_pkey" PRIMARY KEY ("asset_id")
);

-- CreateTable
CREATE TABLE "asset_metadata" (
    "asset_id" UUID NOT NULL,
    "key" VARCHAR(64) NOT NULL,
    "value" TEXT NOT NULL,

    CONSTRAINT "asset_metadata_pkey" PRIMARY KEY ("asset_id","key")
);

-- CreateTable
CREATE TABLE "asset_acl" (
    "asset_id" UUID NOT NULL,
    "principal" VARCHAR(256) NOT NULL,
    "permission" "permission" NOT NULL,
    "expires_at" TIMESTAMPTZ(3),

    CONSTRAINT "asset_acl_pkey" PRIMARY KEY ("asset_id","principal","permission")
);

-- CreateTable
CREATE TABLE "stored_objects" (
    "id" BIGSERIAL NOT NULL,
    "scope" VARCHAR(32) NOT NULL DEFAULT '',
    "sha256" CHAR(64) NOT NULL,
    "crc32c" CHAR(8) NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "ref_count" INTEGER NOT NULL DEFAULT 0,
    "state" "object_state" NOT NULL,
    "pinned_until" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "last_accessed_at" TIMESTAMPTZ(3),
    "last_verified_at" TIMESTAMPTZ(3),

    CONSTRAINT "stored_objects_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "object_copies" (
    "stored_object_id" BIGINT NOT NULL,
    "location" VARCHAR(32) NOT NULL,
    "bucket" VARCHAR(128) NOT NULL,
    "key" VARCHAR(1024) NOT NULL,
    "version" VARCHAR(128),
    "storage_class" VARCHAR(32),

    CONSTRAINT "object_copies_pkey" PRIMARY KEY ("stored_object_id","location")
);

-- CreateTable
CREATE TABLE "owner_quotas" (
    "owner_id" BIGINT NOT NULL,
    "limit_bytes" BIGINT,
    "limit_assets" INTEGER,
    "used_bytes" BIGINT NOT NULL DEFAULT 0,
    "reserved_bytes" BIGINT NOT NULL DEFAULT 0,
    "used_assets" INTEGER NOT NULL DEFAULT 0,
    "reserved_assets" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "owner_quotas_pkey" PRIMARY KEY ("owner_id")
);

-- CreateTable
CREATE TABLE "owners" (
    "owner_id" BIGSERIAL NOT NULL,
    "issuer" VARCHAR(255) NOT NULL,
    "subject" VARCHAR(255) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "owners_pkey" PRIMARY KEY ("owner_id")
);

-- CreateTable
CREATE TABLE "domain_events" (
    "id" BIGSERIAL NOT NULL,
    "type" VARCHAR(64) NOT NULL,
    "asset_id" UUID NOT NULL,
    "owner_id" BIGINT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "delivered_at" TIMESTAMPTZ(3),

    CONSTRAINT "domain_events_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "media_assets_owner_id_status_created_at_asset_id_idx" ON "media_assets"("owner_id", "status", "created_at", "asset_id");

-- CreateIndex
CREATE INDEX "media_assets_stored_object_id_idx" ON "media_assets"("stored_object_id");

-- CreateIndex
CREATE UNIQUE INDEX "media_assets_owner_id_idempotency_key_key" ON "media_assets"("owner_id", "idempotency_key");

-- CreateIndex
CREATE UNIQUE INDEX "stored_objects_scope_sha256_key" ON "stored_objects"("scope", "sha256");

-- CreateIndex
CREATE UNIQUE INDEX "owners_issuer_subject_key" ON "owners"("issuer", "subject");

-- CreateEnum
CREATE TYPE "dead_letter_state" AS ENUM ('OPEN', 'RETRIED', 'DISCARDED');

-- CreateTable
CREATE TABLE "dead_letters" (
    "id" BIGSERIAL NOT NULL,
    "source" VARCHAR(64) NOT NULL,
    "asset_id" UUID,
    "error" TEXT NOT NULL,
    "attempts" INTEGER NOT NULL,
    "payload" TEXT NOT NULL,
    "state" "dead_letter_state" NOT NULL DEFAULT 'OPEN',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "dead_letters_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "dead_letters_state_id_idx" ON "dead_letters"("state", "id");

-- AddForeignKey
ALTER TABLE "media_assets" ADD CONSTRAINT "media_assets_stored_object_id_fkey" FOREIGN KEY ("stored_object_id") REFERENCES "stored_objects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "asset_metadata" ADD CONSTRAINT "asset_metadata_asset_id_fkey" FOREIGN KEY ("asset_id") REFERENCES "media_assets"("asset_id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "asset_acl" ADD CONSTRAINT "asset_acl_asset_id_fkey" FOREIGN KEY ("asset_id") REFERENCES "media_assets"("asset_id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "object_copies" ADD CONSTRAINT "object_copies_stored_object_id_fkey" FOREIGN KEY ("stored_object_id") REFERENCES "stored_objects"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- What Prisma's schema cannot say: the database is the referee of counts, and the sweepers' indexes hold only what is
-- unfinished.
ALTER TABLE "stored_objects" ADD CONSTRAINT "stored_objects_ref_count_check" CHECK ("ref_count" >= 0);
ALTER TABLE "stored_objects" ADD CONSTRAINT "stored_objects_size_bytes_check" CHECK ("size_bytes" >= 0);
ALTER TABLE "media_assets" ADD CONSTRAINT "media_assets_size_bytes_check" CHECK ("size_bytes" >= 0);
ALTER TABLE "media_assets" ADD CONSTRAINT "media_assets_ready_has_object_check"
  CHECK ("status" <> 'READY' OR "stored_object_id" IS NOT NULL);
ALTER TABLE "owner_quotas" ADD CONSTRAINT "owner_quotas_counts_check"
  CHECK ("used_bytes" >= 0 AND "reserved_bytes" >= 0 AND "used_assets" >= 0 AND "reserved_assets" >= 0);
ALTER TABLE "asset_acl" ADD CONSTRAINT "asset_acl_everyone_reads_check" CHECK ("principal" <> '*' OR "permission" = 'READ');

CREATE INDEX "media_assets_unfinished_idx" ON "media_assets" ("next_check_at")
  WHERE "status" IN ('PENDING', 'PROCESSING');
CREATE INDEX "media_assets_incoming_waste_idx" ON "media_assets" ("next_check_at")
  WHERE "incoming_present" AND "status" NOT IN ('PENDING', 'PROCESSING', 'FAILED');
CREATE INDEX "media_assets_own_bytes_idx" ON "media_assets" ("owner_id", "checksum_sha256") WHERE "status" = 'READY';
CREATE INDEX "stored_objects_unreferenced_idx" ON "stored_objects" ("id") WHERE "ref_count" = 0;
CREATE INDEX "domain_events_undelivered_idx" ON "domain_events" ("id") WHERE "delivered_at" IS NULL;

-- Ids of mapped subjects begin above 2^62, decimal subjects end there: the two never meet.
ALTER SEQUENCE "owners_owner_id_seq" MINVALUE 4611686018427387905 START 4611686018427387905 RESTART 4611686018427387905;
