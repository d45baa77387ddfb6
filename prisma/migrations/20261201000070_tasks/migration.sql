-- Runs of tasks. The index allows one unfinished run, and one unfinished dry run, of a task.
CREATE TYPE "task_run_state" AS ENUM ('QUEUED', 'RUNNING', 'WAITING', 'SUCCEEDED', 'FAILED', 'CANCELLED');

CREATE TABLE "tasks" (
    "name" VARCHAR(64) NOT NULL,
    "schedule" VARCHAR(128) NOT NULL,
    "covered_until" TIMESTAMPTZ(3) NOT NULL,
    "seen_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "tasks_pkey" PRIMARY KEY ("name")
);

CREATE TABLE "task_runs" (
    "id" BIGSERIAL NOT NULL,
    "task" VARCHAR(64) NOT NULL,
    "dry_run" BOOLEAN NOT NULL,
    "state" "task_run_state" NOT NULL DEFAULT 'QUEUED',
    "tick" TIMESTAMPTZ(3),
    "requested_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "started_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),
    "next_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "attempt" INTEGER NOT NULL DEFAULT 0,
    "crashes" SMALLINT NOT NULL DEFAULT 0,
    "cursor" VARCHAR(2048),
    "planned" BIGINT,
    "allowed" BIGINT,
    "examined" BIGINT NOT NULL DEFAULT 0,
    "changed" BIGINT NOT NULL DEFAULT 0,
    "failed" BIGINT NOT NULL DEFAULT 0,
    "actions" JSONB NOT NULL DEFAULT '[]',
    "error" VARCHAR(512),

    CONSTRAINT "task_runs_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "task_runs_unfinished_key" ON "task_runs" ("task", "dry_run") WHERE "state" IN ('QUEUED', 'RUNNING');
CREATE INDEX "task_runs_due_idx" ON "task_runs" ("next_at") WHERE "state" IN ('QUEUED', 'RUNNING');
CREATE INDEX "task_runs_task_id_idx" ON "task_runs" ("task", "id");

-- Workers of the release before log `task not started` until they are replaced.
DROP TABLE "task_ticks";
