import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { Transform } from 'class-transformer';
import { IsString } from 'class-validator';
import { Bytes, Variable, Whole } from '#libs/runtime';
import { findProgram } from './isolation.js';

export class InspectionConfig {
  /** Number of inspection processes. The default leaves a core to the processes that answer requests. */
  @Variable('INSPECT_PROCESSES')
  @Whole(1, 64)
  readonly processes: number = Math.max(1, availableParallelism() - 1);

  /**
   * CPU time and elapsed time of one inspection in seconds, at most 10 for PDF. Time spent waiting for a CPU does not
   * count.
   */
  @Variable('INSPECT_SECONDS')
  @Whole(1, 3600)
  readonly seconds: number = 60;

  /** Limit of the resident memory of each inspection process. */
  @Variable('INSPECT_MEMORY')
  @Bytes()
  readonly memoryBytes: number = 2 ** 30;

  /** Images with more pixels are rejected. All frames of an animation together may have twenty times as many. */
  @Variable('MAX_PIXELS')
  @Whole(1)
  readonly maxPixels: number = 100_000_000;

  @Variable('MAX_FRAMES')
  @Whole(1)
  readonly maxFrames: number = 10_000;

  /**
   * Absolute path of the folder for files during their inspection. All workers of a user on a machine share it. The
   * inspection processes can read only this folder and the program itself.
   */
  @Variable('SPOOL_DIR')
  @Transform(({ value }: { value: string }) => path.resolve(value))
  @IsString()
  readonly spoolFolder: string = path.join(tmpdir(), `stowage-spool-${process.getuid?.() ?? 'user'}`);

  /** Path of ffprobe, or null to do without it. */
  readonly ffprobe: string | null = findProgram('ffprobe');

  /** Size in bytes of the largest archive entry that the scanner scans. The app sets it. */
  scannableBytes?: number;

  /** Inspections after which a process is replaced. */
  readonly recycleAfter: number = 200;

  /** Absolute paths of modules that export additional `READERS`. */
  readonly readers: readonly string[] = [];
}
