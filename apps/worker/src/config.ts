import { IsOptional, IsString, MinLength } from 'class-validator';
import { Environment, readEnvironment, Whole } from '#libs/runtime';

export class WorkerEnvironment extends Environment {
  @IsString()
  @MinLength(1)
  PUBSUB_SUBSCRIPTION: string;

  /** The subscription to what Pub/Sub gave up on; without it, that waits there. */
  @IsOptional()
  @IsString()
  PUBSUB_DEAD_LETTER_SUBSCRIPTION?: string;

  @IsOptional()
  @IsString()
  PUBSUB_EMULATOR_HOST?: string;

  /** Assets that are processed at a time. */
  @Whole(1, 64)
  WORKER_CONCURRENCY = 4;

  /** Where health and metrics are served; nowhere unless it is set. */
  @IsOptional()
  @Whole(1, 65_535)
  WORKER_PORT?: number;

  @IsString()
  HOST = '0.0.0.0';

  /** How long the jobs of a worker that died wait for another. */
  @Whole(1, 600)
  JOB_LOCK_SECONDS = 15;
}

/** Read once, at start. @throws Error in one sentence */
export const readConfig = (env: NodeJS.ProcessEnv): WorkerEnvironment =>
  readEnvironment(WorkerEnvironment, env);
