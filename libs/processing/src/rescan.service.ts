import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import {
  type ClaimedObject,
  hashed,
  ObjectMaintenanceRepository,
  ObjectVerificationService,
  shared,
} from '#libs/content';
import { inPages } from '#libs/runtime';
import { Scanner, type Verdict } from '#libs/scanner';
import { ObjectStore } from '#libs/storage';
import { InfectedContentService } from './infected-content.service.js';
import { ProcessingMetrics } from './processing-metrics.js';

/** A new pass starts after this time, for objects that a worker with old signatures scanned and stored during the last pass. */
const PASS_MS = 60 * 60_000;
const PAGE = 500;

/**
 * Scans stored objects again, newest first, when the scanner has other signatures than those of their last scan. Infected objects
 * are quarantined immediately. Any number of workers may run this concurrently.
 */
@Injectable()
export class RescanService {
  private label = '';
  /** Keyset of the pass: it has claimed the objects from this id upwards. */
  private before: bigint | null = null;
  private passAt = 0;

  constructor(
    private readonly scanner: Scanner,
    private readonly store: ObjectStore,
    private readonly maintenance: ObjectMaintenanceRepository,
    private readonly infected: InfectedContentService,
    private readonly verification: ObjectVerificationService,
    private readonly metrics: ProcessingMetrics,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(RescanService.name);
  }

  /**
   * Scans the next object. @returns the number of bytes read; null when no object needs a scan
   * @throws StowageError unavailable
   */
  async next(now: Date, signal?: AbortSignal): Promise<number | null> {
    const object = await this.claim(now, signal);
    if (object === null) return null;
    await this.rescan(object, now, signal);
    return object.sizeBytes;
  }

  /** Claims the next object that needs a scan. @throws StowageError unavailable */
  async claim(now: Date, signal?: AbortSignal): Promise<ClaimedObject | null> {
    const { label } = await this.scanner.identify(signal);
    if (label !== this.label || now.getTime() - this.passAt > PASS_MS) {
      [this.label, this.before, this.passAt] = [label, null, now.getTime()];
    }
    const object = await this.maintenance.claim('scan', [label], this.before, now);
    if (object !== null) this.before = object.id;
    return object;
  }

  /** Scans a claimed object. @throws StowageError unavailable */
  async rescan(object: ClaimedObject, now: Date, signal?: AbortSignal): Promise<void> {
    const { label } = this;
    const { verdict, isIntact } = await this.scan(object, signal);
    if (verdict.outcome !== 'infected' && !isIntact) await this.verification.verify(object.id, now, signal);
    else await this.handleVerdict(object, verdict, label, now);
  }

  /** Pages of objects that need a scan, newest first. @throws StowageError unavailable */
  async *pending(now: Date, signal?: AbortSignal): AsyncGenerator<{ readonly id: bigint }[]> {
    const { label } = await this.scanner.identify(signal);
    yield* inPages(PAGE, (after?: { id: bigint }) =>
      this.maintenance.peek('scan', [label], after?.id, now, PAGE),
    );
  }

  private async scan({ location, sizeBytes, sha256 }: ClaimedObject, signal?: AbortSignal) {
    const source = this.store.read(location, { signal });
    // The scanner may stop reading once it has a verdict; a later error of the stream must not crash the process.
    source.on('error', () => undefined);
    const hash = createHash('sha256');
    const content = hashed(source, hash);
    try {
      const options = { sizeBytes, sha256: () => sha256, signal };
      const verdict = await this.scanner.scan(shared(content), options);
      while ((await content.next()).done !== true);
      return { verdict, isIntact: hash.digest('hex') === sha256 };
    } finally {
      source.destroy();
    }
  }

  private async handleVerdict(
    object: ClaimedObject,
    verdict: Verdict,
    label: string,
    now: Date,
  ): Promise<void> {
    const storedObject = String(object.id);
    this.metrics.scanned(verdict.outcome);
    switch (verdict.outcome) {
      case 'clean':
        return this.maintenance.recordScan(object.id, label, now);
      case 'unscannable':
        // No sign of malware: the type was admitted without a scan, or the limits of the scanner have changed.
        this.logger.warn({ storedObject, why: verdict.why }, 'stored object not scannable');
        return this.maintenance.recordScan(object.id, label, now);
      case 'error':
        this.logger.error({ storedObject, why: verdict.message }, 'stored object not scanned');
        return;
      case 'infected':
        this.logger.warn({ storedObject, signature: verdict.signature }, 'stored object found infected');
        return this.infected.quarantineObject(object, now);
    }
  }
}
