import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import type { AssetProperties, VariantProfile, VariantsReason } from '#libs/domain';
import { HealthChecks } from '#libs/runtime';
import { toDetected, toFlag, toInspection } from './answer.js';
import { END_SIGNATURE } from './child/zip-directory.js';
import { longestLookAt } from './inspected-types.js';
import { findLaunch, type Launch, type Protection, PROTECTIONS, RootRefused } from './isolation.js';
import { ProcessPool } from './process-pool.js';

export interface InspectionRequest {
  /**
   * The whole file on disk, in the spool folder. The process that reads it may have a user of its own: folder 0711, unguessable name,
   * file mode 0644.
   */
  readonly path: string;
  readonly sizeBytes: number;
  /** As found in the head of the file. */
  readonly detected: string | null;
  /** What to make of it, if it is a picture. */
  readonly profiles: readonly VariantProfile[];
  /** Of whatever is made of pictures, now or before: what is found in a picture must not show what was made of it before. */
  readonly longestSide?: number;
}

/** A smaller picture, without anything of the original but its pixels. */
export interface Rendition {
  readonly profile: VariantProfile;
  readonly width: number;
  readonly height: number;
  readonly bytes: Buffer;
}

export type RefusalCode = 'UNREADABLE' | 'TOO_MANY_PIXELS' | 'TYPE_MISMATCH';

/** What a look into a whole file has found. */
export interface Inspection {
  /** The detected type, or a more exact one that only the whole file shows (an office document in a zip). */
  readonly detected: string | null;
  readonly properties: AssetProperties;
  readonly renditions: readonly Rendition[];
  /** Why a picture has no renditions although its file is not refused; null when it has them, and for other files. */
  readonly variantsReason: VariantsReason | null;
  /** Why the file must not be stored, whatever was declared. */
  readonly refusal: { readonly code: RefusalCode; readonly message: string } | null;
  /** Why a scanner cannot have looked into all of it; null when nothing speaks against that. */
  readonly opaque: string | null;
}

export interface InspectionOptions {
  readonly processes: number;
  /** Processor time for one look into a file, and wall time but for what it waits for a processor. */
  readonly seconds: number;
  /** Resident memory of one process. */
  readonly memoryBytes: number;
  readonly maxPixels: number;
  readonly maxFrames: number;
  /** Where the files lie; the processes read nothing else that is not the program. An absolute path. */
  readonly spoolFolder: string;
  /** The program, or null to do without it. */
  readonly ffprobe: string | null;
  /** The most of a file in an archive that the scanner looks into. */
  readonly scannableBytes?: number;
  /** Looks after which a process is replaced by a fresh one; 200 unless given. */
  readonly recycleAfter?: number;
  /** Absolute paths of modules that export `READERS` of their own. */
  readonly readers?: readonly string[];
}

export const INSPECTION_OPTIONS = Symbol('INSPECTION_OPTIONS');

const RECYCLE_AFTER = 200;
/** The limit is one on a process's whole life: it is replaced after the first part, which leaves as much to its last task. */
const CPU_LIMIT_FACTOR = 2;

/**
 * Looks into bytes that nobody vouches for, in processes that can do no harm. One that crashes, hangs, bloats or is aborted is
 * replaced, and fails only the look that it was at.
 */
@Injectable()
export class Inspector implements OnModuleInit, OnApplicationShutdown {
  private readonly pool: ProcessPool;
  /** What only wants to know a type reads an upload just then: it does not wait behind those who look into whole files. */
  private readonly detectors: ProcessPool;
  private launch: Promise<Launch> | undefined;
  private found: readonly Protection[] = [];

  constructor(
    @Inject(INSPECTION_OPTIONS) private readonly options: InspectionOptions,
    private readonly logger: PinoLogger,
    health: HealthChecks,
  ) {
    logger.setContext(Inspector.name);
    const { recycleAfter = RECYCLE_AFTER } = options;
    this.pool = new ProcessPool({ ...options, recycleAfter }, (place) => this.command(place), logger);
    this.detectors = new ProcessPool(
      { ...options, recycleAfter, processes: 1 },
      // A place of its own, after those of the others.
      () => this.command(options.processes),
      logger,
    );
    health.add('inspection', () => this.check());
  }

  /** What the processes are kept from; empty until the first was started. */
  get isolation(): readonly Protection[] {
    return this.found;
  }

  /** Names the configured limits on the cost of a look, in at most 64 characters: with other limits a file may be read. */
  get limits(): string {
    const { seconds, maxPixels, maxFrames } = this.options;
    return `${seconds} s, ${maxPixels} pixels, ${maxFrames} frames`.slice(0, 64);
  }

  /** @throws RootRefused; anything else that keeps children from starting may pass, and the pools try again */
  async onModuleInit(): Promise<void> {
    if (process.getuid?.() === 0) {
      await this.command(0).catch((error: unknown) => {
        if (error instanceof RootRefused) throw error;
      });
    }
    this.pool.start();
    this.detectors.start();
  }

  /** When nothing asks any more: jobs are closed one hook earlier. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.all([this.pool.close(), this.detectors.close()]);
  }

  /**
   * The media type that the first bytes of a file show, or null when they show none. An empty file is text.
   * @throws InspectionFailed; StowageError unavailable when there is no process; the signal's reason
   */
  async detect(head: Buffer, signal?: AbortSignal): Promise<string | null> {
    return toDetected(await this.detectors.run({ kind: 'detect', head }, signal));
  }

  /**
   * Whether unpackers would take a file for a ZIP archive, by the last `ARCHIVE_TAIL_BYTES` of it, whatever it begins with.
   * @throws InspectionFailed; StowageError unavailable when there is no process; the signal's reason
   */
  async detectArchive(
    tail: Buffer,
    { sizeBytes, detected }: Pick<InspectionRequest, 'sizeBytes' | 'detected'>,
    signal?: AbortSignal,
  ): Promise<boolean> {
    if (!tail.includes(END_SIGNATURE, 0, 'latin1')) return false;
    return toFlag(await this.detectors.run({ kind: 'detect-archive', tail, sizeBytes, detected }, signal));
  }

  /** @throws InspectionFailed; StowageError unavailable when there is no process; the signal's reason */
  async inspect(request: InspectionRequest, signal?: AbortSignal): Promise<Inspection> {
    const { maxPixels, maxFrames, ffprobe, scannableBytes } = this.options;
    const limits = { maxPixels, maxFrames, ffprobe, scannableBytes };
    const { path, sizeBytes, detected, profiles, longestSide } = request;
    const file = { path, sizeBytes, detected, profiles, longestSide };
    const seconds = Math.min(this.options.seconds, longestLookAt(detected));
    return toInspection(await this.pool.run({ kind: 'inspect', file, limits }, signal, seconds), request);
  }

  /** @throws StowageError unavailable while no process can be started */
  check(): Promise<void> {
    return new Promise((resolve) => {
      this.detectors.check();
      resolve(this.pool.check());
    });
  }

  private async command(place: number): Promise<readonly string[]> {
    this.launch ??= this.findLaunch();
    try {
      return (await this.launch).command(place);
    } catch (error) {
      this.launch = undefined;
      throw error;
    }
  }

  private async findLaunch(): Promise<Launch> {
    const { seconds, memoryBytes, spoolFolder, ffprobe, readers = [] } = this.options;
    const cpuSeconds = seconds * CPU_LIMIT_FACTOR;
    const startsPrograms = ffprobe !== null;
    const launch = await findLaunch({ cpuSeconds, memoryBytes, spoolFolder, startsPrograms, readers });
    this.found = launch.isolation;
    const missing = PROTECTIONS.filter((name) => !launch.isolation.includes(name));
    this.logger.info({ isolation: launch.isolation, missing }, 'files are looked into in isolation');
    return launch;
  }
}
