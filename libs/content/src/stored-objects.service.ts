import { Injectable } from '@nestjs/common';
import { Clock, Database, type Tx } from '#libs/database';
import { kindOf, type ObjectRef, type VariantsReason } from '#libs/domain';
import { ObjectStore } from '#libs/storage';
import { type DeletionLease, StoredObjectsRepository } from './stored-objects.repository.js';

/** Lease of a collector on an object. It stops asking storage after half of it, so that no request is pending when another collector starts. */
const COLLECT_MS = 10 * 60_000;
const DELETE_MS = COLLECT_MS / 2;
/** Delay before the next attempt when storage did not answer a delete, and when it refused one. */
const UNANSWERED_MS = 60_000;
const REFUSED_MS = 60 * 60_000;

/** Facts about the bytes, recorded when an asset begins to point at them. */
export interface ObjectFacts {
  /** Label of the scanner that scanned them last; a scanner with another label scans them again. The verdict stands on the asset. */
  readonly scannedBy: string;
  /** Specifications of the variants, made or tried; null for bytes that get none. */
  readonly variantSpecs: string | null;
  /** Why a picture has no variants; null when it has them, and for other files. */
  readonly variantsReason: VariantsReason | null;
  readonly now: Date;
}

/** Objects that assets share: their references, and the deletion of those without references. */
@Injectable()
export class StoredObjectsService {
  constructor(
    private readonly database: Database,
    private readonly objects: StoredObjectsRepository,
    private readonly store: ObjectStore,
    private readonly clock: Clock,
  ) {}

  async isQuarantined(id: bigint): Promise<boolean> {
    const where = { id, state: 'QUARANTINED' as const };
    return (await this.database.read((prisma) => prisma.storedObject.count({ where }))) > 0;
  }

  /**
   * Adds a reference, in the transaction that points an asset here. A CORRUPT object with a new copy becomes LIVE.
   * @returns false when no asset may point at the object
   */
  async addReference(tx: Tx, id: bigint, facts: ObjectFacts): Promise<boolean> {
    const { count } = await tx.storedObject.updateMany({
      where: {
        id,
        OR: [
          { state: { in: ['STAGING', 'LIVE'] } },
          { state: 'CORRUPT', copies: { some: { version: { not: null } } } },
        ],
      },
      data: {
        refCount: { increment: 1 },
        state: 'LIVE',
        // A referenced object needs no pin. Another upload that loses its pin here stores the bytes again.
        pinnedUntil: null,
        scannedBy: facts.scannedBy,
        scannedAt: facts.now,
        variantSpecs: facts.variantSpecs,
        variantsReason: facts.variantsReason,
      },
    });
    return count === 1;
  }

  /** Whether a READY asset may point at the object. Locks the row until the transaction ends. */
  isStored(tx: Tx, id: bigint): Promise<boolean> {
    return this.objects.isStored(tx, id);
  }

  /** Removes references, in the transaction that takes the object from its assets. */
  async removeReferences(tx: Tx, id: bigint, count = 1): Promise<void> {
    await tx.storedObject.update({
      where: { id },
      data: { refCount: { decrement: count } },
      select: { id: true },
    });
  }

  /** Objects without references and pins; those whose deletion is due again come last. */
  collectable(now: Date, limit: number): Promise<bigint[]> {
    return this.objects.collectable(now, limit);
  }

  /**
   * Deletes an unreferenced object. The row moves to DELETING first, where no asset can point at it and no other collector takes it;
   * then the bytes are deleted at their version, then the row. Every step can be repeated.
   * @returns false when the object is referenced or pinned, or another collector has it
   */
  async collect(id: bigint, now: Date, stopped = new AbortController().signal): Promise<boolean> {
    // `now` is the start of the sweep, which may be long ago.
    const begun = new Date(Math.max(now.getTime(), this.clock.now().getTime()));
    const lease = { id, until: after(begun, COLLECT_MS) };
    const locations = await this.objects.condemn(lease, now);
    if (locations.length === 0) return false;
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
