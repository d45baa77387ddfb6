import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { IsOptional, IsString, Matches, MinLength } from 'class-validator';
import { DEFAULT_PROFILES } from '#libs/domain';
import { Bytes, Environment, Flag, readEnvironment, Types, Whole, Words } from '#libs/runtime';

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
  WORKER_CONCURRENCY = 8;

  /** Where health and metrics are served; nowhere unless it is set. */
  @IsOptional()
  @Whole(1, 65_535)
  WORKER_PORT?: number;

  @IsString()
  HOST = '0.0.0.0';

  /**
   * Values of Host for which health and metrics are served, with port; requests of web pages are refused then. Without it,
   * every request is served. The embedded stack sets it.
   */
  @IsOptional()
  @Words()
  WORKER_ALLOWED_HOSTS?: string[];

  /** How long the jobs of a worker that died wait for another. */
  @Whole(1, 600)
  JOB_LOCK_SECONDS = 15;

  /** Where infected bytes go. */
  @IsString()
  @MinLength(3)
  QUARANTINE_BUCKET: string;

  /** Where files lie while they are looked into; one folder for all workers of a user on a machine. */
  @IsString()
  SPOOL_DIR = path.join(tmpdir(), `stowage-spool-${process.getuid?.() ?? 'user'}`);

  /** The most that lies there at a time; a larger file is not looked into. */
  @Bytes()
  SPOOL_BYTES = 8 * 2 ** 30;

  /** Processes that look into files. A core is left to those who answer. */
  @Whole(1, 64)
  INSPECT_PROCESSES = Math.max(1, availableParallelism() - 1);

  /** Processor and wall time of one inspection, at most 10 s for PDF. Time spent waiting for a processor does not count. */
  @Whole(1, 3600)
  INSPECT_SECONDS = 60;

  /** Memory of each process that looks into files. */
  @Bytes()
  INSPECT_MEMORY = 2 ** 30;

  /** Pictures with more are refused; all frames of an animation may have twenty times as many. */
  @Whole(1)
  MAX_PIXELS = 100_000_000;

  @Whole(1)
  MAX_FRAMES = 10_000;

  /** Variants that every picture gets: `name=format:longest side:quality`. */
  @Words()
  VARIANT_PROFILES: string[] = DEFAULT_PROFILES;

  /** `host:port` of clamd, or `unix:/path` of its socket. */
  @IsOptional()
  @Matches(/^(unix:\/.+|[^:\s]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5})$/, {
    message: 'CLAMD_ADDRESS must be host:port or unix:/path',
  })
  CLAMD_ADDRESS?: string;

  /** No more than clamd's StreamMaxLength, MaxFileSize and MaxScanSize. */
  @Bytes()
  CLAMD_MAX_BYTES = 2000 * 2 ** 20;

  /** Ends clamd's name: another has everything scanned again. */
  @IsOptional()
  @Matches(/^[\w.:+-]{1,40}$/, { message: 'SCANNER_LABEL must be 1 to 40 letters, digits, or one of _.:+-' })
  SCANNER_LABEL?: string;

  /** Whether the worker refuses to start without a virus scanner; unless set, it does where NODE_ENV is `production`. */
  @IsOptional()
  @Flag()
  SCANNER_REQUIRED?: boolean;

  /** A file with one SHA-256 a line, for the scanner that there is without clamd. */
  @IsOptional()
  @IsString()
  MALWARE_HASHES?: string;

  /** Types and families that are stored although the scanner could not look into them; empty for none. */
  @Types()
  ADMIT_UNSCANNABLE: string[] = [];

  /** How fast stored objects are scanned again when there are new signatures, a second. */
  @Bytes()
  RESCAN_BYTES = 10 * 2 ** 20;
}

/** Read once, at start. @throws Error in one sentence */
export function readConfig(env: NodeJS.ProcessEnv): WorkerEnvironment {
  const config = readEnvironment(WorkerEnvironment, env);
  config.SCANNER_REQUIRED ??= env.NODE_ENV === 'production';
  if (config.SCANNER_REQUIRED && config.CLAMD_ADDRESS === undefined) {
    throw new Error(
      'Configuration: set CLAMD_ADDRESS, or SCANNER_REQUIRED=false to store what nobody scanned.',
    );
  }
  return config;
}
