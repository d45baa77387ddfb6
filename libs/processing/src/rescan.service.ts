import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import {
  type ClaimedObject,
  CorruptionService,
  hashed,
  ObjectMaintenanceService,
  shared,
} from '#libs/content';
import { Scanner, type Verdict } from '#libs/scanner';
import { ObjectStore } from '#libs/storage';
import { InfectedContentService } from './infected-content.service.js';
import { ProcessingMetrics } from './processing-metrics.js';

/** What came in while a pass was under way, scanned by a worker that did not know the new signatures, is met by the next. */
const PASS_MS = 60 * 60_000;

/**
 * Scans stored objects again when the scanner has other signatures than they were scanned with, newest first. What it finds is
 * quarantined at once. Any number of workers may do it.
 */
@Injectable()
export class RescanService {
  private label = '';
  /** All above were looked at in this pass. */
  private before: bigint | null = null;
  private passAt = 0;

  constructor(
    private readonly scanner: Scanner,
    private readonly store: ObjectStore,
    private readonly maintenance: ObjectMaintenanceService,
    private readonly infected: InfectedContentService,
    private readonly corruption: CorruptionService,
    private readonly metrics: ProcessingMetrics,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(RescanService.name);
  }

  /**
   * The next object. Answers how many bytes it read, null when there is nothing to scan again.
   * @throws StowageError unavailable
   */
  async next(now: Date, signal?: AbortSignal): Promise<number | null> {
    const { label } = await this.scanner.identify(signal);
    if (label !== this.label || now.getTime() - this.passAt > PASS_MS) {
      [this.label, this.before, this.passAt] = [label, null, now.getTime()];
    }
    const object = await this.maintenance.claim('scan', label, this.before, now);
    if (object === null) return null;
    this.before = object.id;
    const { verdict, isIntact } = await this.scan(object, signal);
    if (verdict.outcome !== 'infected' && !isIntact) await this.corruption.confirm(object, signal);
    else await this.settle(object, verdict, label, now);
    return object.sizeBytes;
  }

  private async scan({ location, sizeBytes, sha256 }: ClaimedObject, signal?: AbortSignal) {
    const source = this.store.read(location, { signal });
    // A scanner may have its verdict without having asked for all of it.
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

  private async settle(object: ClaimedObject, verdict: Verdict, label: string, now: Date): Promise<void> {
    const storedObject = String(object.id);
    this.metrics.scanned(verdict.outcome);
    switch (verdict.outcome) {
      case 'clean':
        return this.maintenance.recordScan(object.id, label, now);
      case 'unscannable':
        // It was let in as such, or the scanner's limits have changed: no sign of malware.
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
