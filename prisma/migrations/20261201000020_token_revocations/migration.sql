-- CreateTable
CREATE TABLE "token_revocations" (
    "owner_id" BIGINT NOT NULL,
    "before" TIMESTAMPTZ(3) NOT NULL,
    "changed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "token_revocations_pkey" PRIMARY KEY ("owner_id")
);

-- CreateIndex
CREATE INDEX "token_revocations_changed_at_idx" ON "token_revocations"("changed_at");
