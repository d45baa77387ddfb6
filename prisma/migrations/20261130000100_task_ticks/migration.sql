-- Ticks of the tasks with a cron schedule.
CREATE TABLE "task_ticks" (
    "name" VARCHAR(64) NOT NULL,
    "covered_until" TIMESTAMPTZ(3) NOT NULL,
    "run_id" UUID NOT NULL,
    "leased_until" TIMESTAMPTZ(3),
    "attempts" SMALLINT NOT NULL,

    CONSTRAINT "task_ticks_pkey" PRIMARY KEY ("name")
);
