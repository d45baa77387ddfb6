import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import type {
  AssetProperties,
  FeatureReason,
  SanitizedProperties,
  VariantProfile,
  VariantsReason,
} from '#libs/domain';
import { HealthCheck } from '#libs/runtime';
import { toDetected, toFlag, toFound, toInspection, toObjection } from './answer.js';
import type { ExtensionFile, Task } from './child/messages.js';
import { END_SIGNATURE } from './child/zip-directory.js';
import { type ContentCheck, type FileReader, InspectionExtensions, type Loadable } from './extensions.js';
import { InspectionConfig } from './inspection.config.js';
import { findLaunch, type Launch, type Protection, PROTECTIONS, RootRefused } from './isolation.js';
import { ProcessPool } from './process-pool.js';
import { secondsFor } from './type-table.js';

export interface InspectionRequest {
  /**
   * The whole file on disk, in the spool folder. The process that reads it may run as another user: folder mode 0711,
   * unguessable name, file mode 0644.
   */
  readonly path: string;
  readonly sizeBytes: number;
  /** The type detected in the head of the file. */
  readonly detected: string | null;
  /** The renditions to derive if the file is a picture. */
  readonly profiles: readonly VariantProfile[];
  /**
   * Longest side, in pixels, of all configured profiles, requested now or not. A picture is first scaled to it, so that
   * the results do not reveal which renditions existed before.
   */
  readonly longestSide?: number;
}

/** A smaller version of a picture that keeps nothing of the original but its pixels. */
export interface Rendition {
  readonly profile: VariantProfile;
  readonly width: number;
  readonly height: number;
  readonly bytes: Buffer;
}

export type RefusalCode = 'UNREADABLE' | 'TOO_MANY_PIXELS' | 'TYPE_MISMATCH';

/** The result of inspecting a whole file. */
export interface Inspection {
  /** The detected type, or a more exact one that only the whole file shows (an office document in a zip). */
  readonly detected: string | null;
  readonly properties: AssetProperties;
  readonly renditions: readonly Rendition[];
  /** Why a picture that is not refused has no renditions; null when it has them, and for other files. */
  readonly variantsReason: VariantsReason | null;
  /** Why the file must not be stored, whatever its declared type. */
  readonly refusal: { readonly code: RefusalCode; readonly message: string } | null;
  /** Why a scanner cannot see all of the content; null when there is no such reason. */
  readonly opaque: string | null;
}

/** Why a content check of a feature rejects a file. */
export interface Objection {
  readonly reason: FeatureReason;
  readonly message: string;
}

/** The kernel's limit is twice that of a task: a process is replaced after using one, which leaves one to its last task. */
const CPU_LIMIT_FACTOR = 2;

/**
 * Inspects untrusted bytes in isolated processes. A process that crashes, hangs, exceeds its memory or is aborted is
 * replaced, and only the inspection that it was running fails.
 */
@Injectable()
export class Inspector implements OnModuleInit, OnApplicationShutdown {
  private readonly pool: ProcessPool;
  /** Type detection runs during an upload, so it has its own process and does not wait for inspections of whole files. */
  private readonly detectors: ProcessPool;
  /**
   * Modules of features have their own processes, which start with the first task: work that a module leaves behind must not
   * use up the time of an inspection.
   */
  private readonly extended: ProcessPool;
  private launch: Promise<Launch> | undefined;
  private found: readonly Protection[] = [];

  constructor(
    private readonly config: InspectionConfig,
    private readonly extensions: InspectionExtensions,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(Inspector.name);
    this.pool = new ProcessPool(config, (slot) => this.command(slot), logger);
    this.detectors = new ProcessPool(
      { ...config, processes: 1 },
      // The detector's slot follows those of the pool, so that it runs as a user of its own.
      () => this.command(config.processes),
      logger,
    );
    this.extended = new ProcessPool(config, (slot) => this.command(config.processes + 1 + slot), logger);
  }

  /** The protections of the processes; empty until the first launch was found. */
  get isolation(): readonly Protection[] {
    return this.found;
  }

  /**
   * Names the configured limits, in at most 64 characters. A file that exhausted a reader is inspected again under other
   * limits.
   */
  get limits(): string {
    const { seconds, maxPixels, maxFrames } = this.config;
    return `${seconds} s, ${maxPixels} pixels, ${maxFrames} frames`.slice(0, 64);
  }

  /** @throws RootRefused. Other errors may be temporary: the pools retry. */
  async onModuleInit(): Promise<void> {
    if (process.getuid?.() === 0) {
      await this.command(0).catch((error: unknown) => {
        if (error instanceof RootRefused) throw error;
      });
    }
    this.pool.start();
    this.detectors.start();
  }

  /** Runs when no caller is left: the queue closes its workers one hook earlier. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.all([this.pool, this.detectors, this.extended].map((pool) => pool.close()));
  }

  /**
   * Detects the media type from the first bytes of a file; null when they show none. An empty file is text.
   * @param head - the first 64 KiB, or all of a shorter file
   * @throws InspectionFailed; StowageError unavailable when no process can be started; the signal's reason
   */
  async detect(head: Buffer, sizeBytes: number, signal?: AbortSignal): Promise<string | null> {
    return toDetected(await this.detectors.run({ kind: 'detect', head, sizeBytes }, signal));
  }

  /**
   * Tells whether an unpacker would accept the file as a ZIP archive, whatever its first bytes are.
   * @param tail - the last `ARCHIVE_TAIL_BYTES` bytes of the file
   * @throws InspectionFailed; StowageError unavailable when no process can be started; the signal's reason
   */
  async detectArchive(
    tail: Buffer,
    { sizeBytes, detected }: Pick<InspectionRequest, 'sizeBytes' | 'detected'>,
    signal?: AbortSignal,
  ): Promise<boolean> {
    if (!tail.includes(END_SIGNATURE, 0, 'latin1')) return false;
    return toFlag(await this.detectors.run({ kind: 'detect-archive', tail, sizeBytes, detected }, signal));
  }

  /**
   * Reads properties, renditions and objections from a whole file.
   * @throws InspectionFailed; StowageError unavailable when no process can be started; the signal's reason
   */
  async inspect(request: InspectionRequest, signal?: AbortSignal): Promise<Inspection> {
    const { maxPixels, maxFrames, ffprobe, scannableBytes } = this.config;
    const limits = { maxPixels, maxFrames, ffprobe, scannableBytes };
    const { path, sizeBytes, detected, profiles, longestSide } = request;
    const file = { path, sizeBytes, detected, profiles, longestSide };
    const seconds = secondsFor(detected, this.config.seconds);
    return toInspection(await this.pool.run({ kind: 'inspect', file, limits }, signal, seconds), request);
  }

  /**
   * Reads the properties of a whole file by a reader of a feature.
   * @throws InspectionFailed when the reader fails or exceeds its limits; StowageError unavailable; the signal's reason
   */
  async read(
    { path: module, properties, seconds }: Loadable<FileReader>,
    file: ExtensionFile,
    signal?: AbortSignal,
  ): Promise<SanitizedProperties> {
    const task: Task = { kind: 'extension', module, export: 'read', file };
    return toFound(await this.extended.run(task, signal, this.secondsOf(seconds)), properties);
  }

  /**
   * Runs a content check of a feature on a whole file.
   * @returns null for a file that may be stored
   * @throws InspectionFailed when the check fails, exceeds its limits or gives an undeclared reason; StowageError unavailable; the
   *   signal's reason
   */
  async findObjection(
    { path: module, reasons, seconds }: Loadable<ContentCheck>,
    file: ExtensionFile,
    signal?: AbortSignal,
  ): Promise<Objection | null> {
    const task: Task = { kind: 'extension', module, export: 'check', file };
    return toObjection(await this.extended.run(task, signal, this.secondsOf(seconds)), reasons);
  }

  /** The limit of an extension in seconds. */
  secondsOf(declared = this.config.seconds): number {
    return Math.min(declared, this.config.seconds);
  }

  /** @throws StowageError unavailable while no process can be started */
  @HealthCheck('inspection')
  check(): Promise<void> {
    return new Promise((resolve) => {
      for (const pool of [this.pool, this.detectors, this.extended]) pool.check();
      resolve();
    });
  }

  private async command(slot: number): Promise<readonly string[]> {
    this.launch ??= this.findLaunch();
    try {
      return (await this.launch).command(slot);
    } catch (error) {
      this.launch = undefined;
      throw error;
    }
  }

  private async findLaunch(): Promise<Launch> {
    const { seconds, memoryBytes, spoolFolder, ffprobe, readers } = this.config;
    const cpuSeconds = seconds * CPU_LIMIT_FACTOR;
    const startsPrograms = ffprobe !== null;
    const { modules } = this.extensions;
    const launch = await findLaunch({
      ...{ cpuSeconds, memoryBytes, spoolFolder, startsPrograms },
      ...{ readers, modules },
    });
    this.found = launch.isolation;
    const missing = PROTECTIONS.filter((name) => !launch.isolation.includes(name));
    this.logger.info({ isolation: launch.isolation, missing }, 'inspection isolation chosen');
    return launch;
  }
}
