import { Injectable } from '@nestjs/common';
import { Clock } from '#libs/database';
import { kindOf, type ObjectRef } from '#libs/domain';
import { ObjectStore } from '#libs/storage';
import { type DeletionLease, StoredObjectsRepository } from './stored-objects.repository.js';

/** Lease of a collector on an object. It stops asking storage after half of it, so that no request is pending when another collector starts. */
export const COLLECT_MS = 10 * 60_000;
export const DELETE_MS = COLLECT_MS / 2;
/** Delay before the next attempt when storage did not answer a delete, and when it refused one. */
export const UNANSWERED_MS = 60_000;
const REFUSED_MS = 60 * 60_000;

/** Deletes stored objects without references. */
@Injectable()
export class CollectionService {
  constructor(
    private readonly objects: StoredObjectsRepository,
    private readonly store: ObjectStore,
    private readonly clock: Clock,
  ) {}

  /**
   * Deletes an unreferenced object. The row moves to DELETING first, where no asset can point at it and no other collector takes it;
   * then the bytes are deleted at their version, then the row. Every step can be repeated.
   * @returns false when the object is referenced or pinned, or another collector has it
   */
  async collect(id: bigint, now: Date, stopped = new AbortController().signal): Promise<boolean> {
    // `now` is the start of the run, which may be long ago.
    const begun = new Date(Math.max(now.getTime(), this.clock.now().getTime()));
    const lease = { id, until: after(begun, COLLECT_MS) };
    const locations = await this.objects.condemn(lease, now);
    if (locations === null) return false;
    const deleted: string[] = [];
    const signal = AbortSignal.any([stopped, AbortSignal.timeout(DELETE_MS)]);
    try {
      for (const { bucket, key, version } of locations) {
        const found = version ?? (await this.unrecordedVersion({ bucket, key }, lease));
        if (found !== null) await this.store.delete({ bucket, key, version: found }, { signal });
        deleted.push(key);
      }
    } catch (error) {
      const isRefused = !signal.aborted && kindOf(error) !== 'unavailable';
      // After a refusal (a hold, a retention period) the bytes exist and new uploads may share them. Without an answer they may
      // still be deleted.
      const next = after(begun, isRefused ? REFUSED_MS : UNANSWERED_MS);
      await this.objects.putOff(lease, isRefused ? 'STAGING' : 'DELETING', next, deleted);
      throw error;
    }
    await this.objects.drop(lease);
    return true;
  }

  /**
   * The version of a copy that was made but not recorded. Storage is asked before the row: while the row is DELETING no upload can
   * store these bytes again, so the version found is not one that another upload needs.
   */
  private async unrecordedVersion(at: ObjectRef, lease: DeletionLease): Promise<string | null> {
    const found = await this.store.stat(at);
    if (found === null) return null;
    // Another collector may have finished meanwhile.
    return (await this.objects.isCondemned(lease)) ? found.version : null;
  }
}

const after = (now: Date, ms: number) => new Date(now.getTime() + ms);
