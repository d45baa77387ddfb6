-- CreateTable
CREATE TABLE "albums" (
    "id" BIGSERIAL NOT NULL,
    "owner_id" BIGINT NOT NULL,
    "title" VARCHAR(200) NOT NULL,
    "idempotency_key" VARCHAR(128),
    "cover_asset_id" UUID,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "albums_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "album_items" (
    "album_id" BIGINT NOT NULL,
    "asset_id" UUID NOT NULL,
    "position" BIGSERIAL NOT NULL,
    "added_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "album_items_pkey" PRIMARY KEY ("album_id","asset_id")
);

-- CreateTable
CREATE TABLE "album_shares" (
    "album_id" BIGINT NOT NULL,
    "principal" VARCHAR(256) NOT NULL,
    "expires_at" TIMESTAMPTZ(3),

    CONSTRAINT "album_shares_pkey" PRIMARY KEY ("album_id","principal")
);

-- CreateIndex
CREATE UNIQUE INDEX "albums_owner_id_idempotency_key_key" ON "albums"("owner_id", "idempotency_key");

-- CreateIndex
CREATE INDEX "albums_owner_id_id_idx" ON "albums"("owner_id", "id");

-- CreateIndex
CREATE INDEX "albums_cover_asset_id_idx" ON "albums"("cover_asset_id");

-- CreateIndex
CREATE UNIQUE INDEX "album_items_album_id_position_key" ON "album_items"("album_id", "position");

-- CreateIndex
CREATE INDEX "album_items_asset_id_idx" ON "album_items"("asset_id");

-- CreateIndex
CREATE INDEX "album_shares_principal_album_id_idx" ON "album_shares"("principal", "album_id");

-- CreateIndex
CREATE INDEX "album_shares_expires_at_idx" ON "album_shares"("expires_at");

-- AddForeignKey
ALTER TABLE "album_items" ADD CONSTRAINT "album_items_album_id_fkey" FOREIGN KEY ("album_id") REFERENCES "albums"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "album_items" ADD CONSTRAINT "album_items_asset_id_fkey" FOREIGN KEY ("asset_id") REFERENCES "media_assets"("asset_id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "album_shares" ADD CONSTRAINT "album_shares_album_id_fkey" FOREIGN KEY ("album_id") REFERENCES "albums"("id") ON DELETE CASCADE ON UPDATE CASCADE;
