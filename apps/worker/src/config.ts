import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { IsOptional, IsString, Matches, MinLength } from 'class-validator';
import { DEFAULT_PROFILES } from '#libs/domain';
import { Bytes, Environment, Flag, readEnvironment, Types, Whole, Words } from '#libs/runtime';

export class WorkerEnvironment extends Environment {
  @IsString()
  @MinLength(1)
  PUBSUB_SUBSCRIPTION: string;

  /** Pub/Sub subscription of the dead letter topic. Without it, undeliverable notifications stay in Pub/Sub. */
  @IsOptional()
  @IsString()
  PUBSUB_DEAD_LETTER_SUBSCRIPTION?: string;

  @IsOptional()
  @IsString()
  PUBSUB_EMULATOR_HOST?: string;

  /** Number of assets that are processed at a time. */
  @Whole(1, 64)
  WORKER_CONCURRENCY = 8;

  /** Port for health checks and metrics, which are not served unless it is set. */
  @IsOptional()
  @Whole(1, 65_535)
  WORKER_PORT?: number;

  @IsString()
  HOST = '0.0.0.0';

  /**
   * Accepted values of the Host header, with port, for health checks and metrics. If set, requests from web pages are
   * rejected; if not, every request is served. The embedded stack sets it.
   */
  @IsOptional()
  @Words()
  WORKER_ALLOWED_HOSTS?: string[];

  /** Time in seconds until other workers take the jobs of a crashed worker. */
  @Whole(1, 600)
  JOB_LOCK_SECONDS = 15;

  /** Bucket for infected files. */
  @IsString()
  @MinLength(3)
  QUARANTINE_BUCKET: string;

  /** Folder for files during their inspection. All workers of a user on a machine share it. */
  @IsString()
  SPOOL_DIR = path.join(tmpdir(), `stowage-spool-${process.getuid?.() ?? 'user'}`);

  /** Maximum number of bytes in the spool folder. A larger file is not inspected. */
  @Bytes()
  SPOOL_BYTES = 8 * 2 ** 30;

  /** Number of inspection processes. The default leaves a core to the processes that answer requests. */
  @Whole(1, 64)
  INSPECT_PROCESSES = Math.max(1, availableParallelism() - 1);

  /**
   * CPU time and elapsed time of one inspection in seconds, at most 10 for PDF. Time spent waiting for a CPU does not
   * count.
   */
  @Whole(1, 3600)
  INSPECT_SECONDS = 60;

  /** Memory of each inspection process. */
  @Bytes()
  INSPECT_MEMORY = 2 ** 30;

  /** Images with more pixels are rejected. All frames of an animation together may have twenty times as many. */
  @Whole(1)
  MAX_PIXELS = 100_000_000;

  @Whole(1)
  MAX_FRAMES = 10_000;

  /** Variants of every image: `name=format:longest side:quality`. */
  @Words()
  VARIANT_PROFILES: string[] = DEFAULT_PROFILES;

  /** Address of clamd: `host:port`, or `unix:/path` for a socket. */
  @IsOptional()
  @Matches(/^(unix:\/.+|[^:\s]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5})$/, {
    message: 'CLAMD_ADDRESS must be host:port or unix:/path',
  })
  CLAMD_ADDRESS?: string;

  /** At most clamd's StreamMaxLength, MaxFileSize and MaxScanSize. */
  @Bytes()
  CLAMD_MAX_BYTES = 2000 * 2 ** 20;

  /** Suffix of the scanner's name. A new label makes the worker scan all stored files again. */
  @IsOptional()
  @Matches(/^[\w.:+-]{1,40}$/, { message: 'SCANNER_LABEL must be 1 to 40 letters, digits, or one of _.:+-' })
  SCANNER_LABEL?: string;

  /** Whether the worker requires a virus scanner to start; by default only if NODE_ENV is `production`. */
  @IsOptional()
  @Flag()
  SCANNER_REQUIRED?: boolean;

  /** File with one SHA-256 per line, for the scanner that is used without clamd. */
  @IsOptional()
  @IsString()
  MALWARE_HASHES?: string;

  /** Media types and families to store even if the scanner could not scan the whole file; empty for none. */
  @Types()
  ADMIT_UNSCANNABLE: string[] = [];

  /** Bytes of stored objects to scan again per second after a signature update. */
  @Bytes()
  RESCAN_BYTES = 10 * 2 ** 20;
}

/** Reads the configuration at start. @throws Error with a message of one sentence */
export function readConfig(env: NodeJS.ProcessEnv): WorkerEnvironment {
  const config = readEnvironment(WorkerEnvironment, env);
  config.SCANNER_REQUIRED ??= env.NODE_ENV === 'production';
  if (config.SCANNER_REQUIRED && config.CLAMD_ADDRESS === undefined) {
    throw new Error(
      'Configuration: set CLAMD_ADDRESS, or SCANNER_REQUIRED=false to store files without a virus scan.',
    );
  }
  return config;
}
