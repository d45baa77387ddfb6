import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { corruptKey } from '#libs/domain';
import { ObjectStore } from '#libs/storage';
import { ContentMetrics } from './content-metrics.js';
import type { ClaimedObject } from './object-maintenance.repository.js';
import { ObjectVerificationRepository } from './object-verification.repository.js';
import { QuarantineService } from './quarantine.service.js';
import { StoredObjectsRepository } from './stored-objects.repository.js';

/** A stored object at its recorded version. */
export type SuspectObject = Pick<ClaimedObject, 'id' | 'sha256' | 'location'>;

/**
 * Takes damaged objects out of service. The damaged bytes move to the quarantine bucket for an operator; the object is CORRUPT
 * until an upload stores the same content again, or a verification finds the right bytes. Every step can be repeated.
 */
@Injectable()
export class CorruptionService {
  constructor(
    private readonly store: ObjectStore,
    private readonly objects: StoredObjectsRepository,
    private readonly verification: ObjectVerificationRepository,
    private readonly quarantine: QuarantineService,
    private readonly metrics: ContentMetrics,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(CorruptionService.name);
  }

  /**
   * Quarantines the bytes and marks the object CORRUPT.
   * @param recorded the recorded version, if the damaged bytes are at another one
   * @returns false if another version is recorded by now
   * @throws StowageError unavailable
   */
  async remove(
    { id, sha256, location }: SuspectObject,
    signal?: AbortSignal,
    recorded = location.version,
  ): Promise<boolean> {
    await this.quarantine.copy(location, corruptKey(sha256), signal);
    if (!(await this.markMissing(id, recorded))) return false;
    await this.store.delete(location, { signal });
    return true;
  }

  /** Moves wrong bytes to the quarantine bucket that are at the key of an object which is CORRUPT already. @throws StowageError unavailable */
  async discard({ sha256, location }: SuspectObject, signal?: AbortSignal): Promise<void> {
    await this.quarantine.copy(location, corruptKey(sha256), signal);
    await this.store.delete(location, { signal });
  }

  /**
   * Marks an object CORRUPT.
   * @param recorded the recorded version; null if none is recorded
   * @returns false if another version is recorded by now, or the state has changed
   * @throws StowageError unavailable
   */
  async markMissing(id: bigint, recorded: string | null): Promise<boolean> {
    const isMarked =
      recorded === null ? await this.verification.markLost(id) : await this.objects.markCorrupt(id, recorded);
    if (!isMarked) return false;
    this.metrics.foundCorrupt();
    this.logger.error({ storedObject: String(id) }, 'stored object is corrupt');
    return true;
  }
}
