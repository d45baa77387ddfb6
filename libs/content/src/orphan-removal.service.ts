import { Injectable } from '@nestjs/common';
import { Clock } from '#libs/database';
import { kindOf, type ObjectVersion } from '#libs/domain';
import { ObjectStore } from '#libs/storage';
import { COLLECT_MS, DELETE_MS, UNANSWERED_MS } from './collection.service.js';
import { type ContentRow, OrphansRepository, type UnrecordedObject } from './orphans.repository.js';
import { type DeletionLease, StoredObjectsRepository } from './stored-objects.repository.js';

/** Deletes objects of the content bucket that no row records. Each deletion names the version that was seen. */
@Injectable()
export class OrphanRemovalService {
  constructor(
    private readonly orphans: OrphansRepository,
    private readonly objects: StoredObjectsRepository,
    private readonly store: ObjectStore,
    private readonly clock: Clock,
  ) {}

  /**
   * Deletes bytes at a content key. A row in DELETING keeps other workers from recording this version meanwhile; if this worker
   * dies, the collector continues with that row.
   * @returns false when a row describes the bytes, or the version does not exist any more
   * @throws StowageError unavailable
   */
  async removeContent(object: UnrecordedObject, stopped: AbortSignal): Promise<boolean> {
    const now = this.clock.now();
    const lease = await this.orphans.adopt(object, after(now, COLLECT_MS), now);
    if (lease === null) return this.removeInfected(object, stopped);
    const signal = AbortSignal.any([stopped, AbortSignal.timeout(DELETE_MS)]);
    const isDeleted = await this.store.delete(object, { signal }).catch(async (error: unknown) => {
      await this.abandon(lease, !signal.aborted && kindOf(error) !== 'unavailable', now);
      throw error;
    });
    await this.objects.drop(lease);
    return isDeleted;
  }

  /**
   * Deletes an object at the key of a variant. A writer of the variant overwrites bytes that no row records.
   * @returns false when the key has a row, or the version does not exist any more
   */
  async removeVariant(object: ObjectVersion, signal: AbortSignal): Promise<boolean> {
    const unrecorded = await this.orphans.unrecorded(object.bucket, [{ key: object.key, content: null }]);
    return unrecorded.has(object.key) && this.store.delete(object, { signal });
  }

  /**
   * Deletes a variant that is not as recorded, with its row, so that it is built again.
   * @param found the version in the bucket; null for none
   * @returns false when the row has changed
   */
  async resetVariant(
    row: ContentRow,
    found: ObjectVersion | null,
    now: Date,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (!(await this.orphans.forgetVariant(row, now))) return false;
    if (found !== null) await this.store.delete(found, { signal });
    return true;
  }

  /** Bytes of a quarantined object that were written while it was quarantined. Its row refuses uploads. */
  private async removeInfected(object: UnrecordedObject, signal: AbortSignal): Promise<boolean> {
    const unrecorded = await this.orphans.unrecorded(object.bucket, [{ key: object.key, content: object }]);
    return unrecorded.has(object.key) && this.store.delete(object, { signal });
  }

  /** Without an answer the bytes may still be deleted, so the row must stay. After a refusal they exist, and no row is to know them. */
  private abandon(lease: DeletionLease, isRefused: boolean, now: Date): Promise<void> {
    if (isRefused) return this.objects.drop(lease);
    return this.objects.putOff(lease, 'DELETING', after(now, UNANSWERED_MS), []);
  }
}

const after = (now: Date, ms: number) => new Date(now.getTime() + ms);
