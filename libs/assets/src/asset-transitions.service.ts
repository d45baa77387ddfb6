import { Injectable } from '@nestjs/common';
import { Database, isForeignKeyViolation, type Prisma, type Tx } from '#libs/database';
import {
  type AssetProperties,
  type AssetStatus,
  deletionOf,
  FAILED_KEEP_MS,
  type FeatureProperties,
  type ObjectRef,
  type VariantsReason,
  type StatusReason,
  StowageError,
  TRANSITIONS,
  type TransitionName,
} from '#libs/domain';
import { StoredObjectsRepository } from '#libs/content';
import { DeadLettersService, type NewDeadLetter } from '#libs/queue';
import { QuotaService } from '#libs/quota';
import type { Asset } from './asset.js';
import {
  type AssetSnapshot,
  AssetStatesRepository,
  type Claim,
  type Claimed,
  CONDEMN_BATCH,
  type TransitionTarget,
} from './asset-states.repository.js';

/** Results of the pipeline for an asset that becomes READY. */
export interface Accepted extends ObjectRef {
  readonly objectId: bigint;
  readonly mimeType: string;
  readonly properties: AssetProperties;
  /** Label of the scanner, and whether it scanned all bytes and found them clean. */
  readonly scannedBy: string;
  readonly isClean: boolean;
  /** Specifications of the object's variants, created or attempted; null for bytes that get none. */
  readonly variantSpecs: string | null;
  /** Why a picture has no variants; null for a picture with variants and for other files. */
  readonly variantsReason: VariantsReason | null;
  /** The registered content checks of features, with their revisions, which the bytes passed. */
  readonly passedChecks?: string[];
  /** The registered file readers of features and their properties, as in `ObjectFacts`. */
  readonly readBy?: string;
  readonly featureProperties?: FeatureProperties;
}

/** An asset whose bytes were checked. */
export type AcceptedSnapshot = AssetSnapshot &
  Pick<Asset, 'createdAt' | 'mimeType' | 'replaces' | 'replacesObject' | 'checksumSha256' | 'crc32c'>;

/** Time without progress after which a task checks whether the job of a PROCESSING asset was lost. */
const PROCESSING_SILENCE_MS = 5 * 60_000;
/** Time after which a task deletes the incoming object of a terminal asset, unless it was deleted before. */
const CLEANUP_DELAY_MS = 60_000;

/** Statuses in which the owner's quota holds a reservation for the asset. */
export const HOLDS_RESERVATION: ReadonlySet<AssetStatus> = new Set(['PENDING', 'PROCESSING', 'FAILED']);

const after = (now: Date, ms: number) => new Date(now.getTime() + ms);

/**
 * All changes of an asset's status. Each method is one transaction that updates the row and the quota and appends the event. It
 * returns false, and changes nothing, when the asset is no longer in the state that the caller read.
 */
@Injectable()
export class AssetTransitionsService {
  constructor(
    private readonly database: Database,
    private readonly states: AssetStatesRepository,
    private readonly quotas: QuotaService,
    private readonly objects: StoredObjectsRepository,
    private readonly deadLetters: DeadLettersService,
  ) {}

  /**
   * Moves PENDING assets to PROCESSING and records the generations that will be processed. Only the first of several claims to one
   * asset succeeds.
   * @returns one result per claim, in the order of the claims; null for a claim that did not succeed
   * @throws StowageError unavailable
   */
  async claim(claims: readonly Claim[]): Promise<(Claimed | null)[]> {
    const first = new Map<string, Claim>();
    for (const claim of claims) if (!first.has(claim.assetId)) first.set(claim.assetId, claim);
    const rows = await this.states.claim([...first.values()], PROCESSING_SILENCE_MS);
    const claimed = new Map(rows.map((row) => [row.assetId, row]));
    return claims.map(
      (claim) => (first.get(claim.assetId) === claim ? claimed.get(claim.assetId) : undefined) ?? null,
    );
  }

  /** Starts the next attempt after a failure of processing that may be temporary. */
  retry(snapshot: AssetSnapshot, now: Date): Promise<boolean> {
    const data = { attempt: { increment: 1 }, nextCheckAt: after(now, PROCESSING_SILENCE_MS) };
    return this.database.transaction((tx) => this.states.move(tx, 'retry', snapshot, data, now));
  }

  /**
   * Makes the asset READY after its bytes were checked and stored, and adds a reference to the stored object. An upload that replaces
   * the bytes of another asset gives its bytes to that asset instead, and becomes DELETED. Returns false also when no asset may point
   * at the stored object any more; then the caller stores the bytes again.
   * @throws StowageError rejected REPLACEMENT_OBSOLETE
   */
  accept(snapshot: AcceptedSnapshot, accepted: Accepted, now: Date): Promise<boolean> {
    const { objectId, bucket, key, mimeType, properties, scannedBy, isClean } = accepted;
    const bytes = {
      storedObjectId: objectId,
      bucket,
      objectKey: key,
      mimeType,
      scannedBy: isClean ? scannedBy : null,
      passedChecks: accepted.passedChecks,
      readyAt: now,
    };
    const nextCheckAt = after(now, CLEANUP_DELAY_MS);
    const { variantSpecs, variantsReason, readBy, featureProperties } = accepted;
    const facts = { scannedBy, variantSpecs, variantsReason, readBy, featureProperties, now };
    const addReference = (tx: Tx) => this.objects.addReference(tx, objectId, facts);
    if (snapshot.replaces !== null) {
      return this.transition('apply', snapshot, { nextCheckAt }, now, async (tx) => {
        if (!(await this.states.markDeleted(tx, snapshot.id, now))) throw obsolete();
        const { sizeBytes, checksumSha256, crc32c, mimeType: declaredType } = snapshot;
        const replacing = { ...bytes, sizeBytes: BigInt(sizeBytes), checksumSha256, crc32c, declaredType };
        const replaced = await this.states.replace(tx, snapshot, replacing, now);
        if (replaced === null) throw obsolete();
        if (!(await addReference(tx))) return false;
        await this.objects.removeReferences(tx, snapshot.replacesObject!, now);
        const { createdAt } = replaced;
        await this.states.addProperties(tx, { ...snapshot, id: snapshot.replaces!, createdAt }, properties);
        await this.quotas.apply(tx, 'return', snapshot.ownerId, replaced.sizeBytes);
        return true;
      });
    }
    return this.transition('accept', snapshot, { ...bytes, nextCheckAt }, now, async (tx) => {
      if (!(await addReference(tx))) return false;
      await this.states.addProperties(tx, snapshot, properties);
      return true;
    });
  }

  /** Rejects an asset whose bytes failed a check. */
  reject(snapshot: AssetSnapshot, reason: StatusReason, now: Date): Promise<boolean> {
    return this.transition(
      'reject',
      snapshot,
      { ...reasonData(reason), nextCheckAt: after(now, CLEANUP_DELAY_MS) },
      now,
    );
  }

  /** Records a permanent failure together with a dead letter for operators. The incoming object is kept. */
  fail(snapshot: AssetSnapshot, reason: StatusReason, letter: NewDeadLetter, now: Date): Promise<boolean> {
    const data = { ...reasonData(reason), nextCheckAt: after(now, FAILED_KEEP_MS) };
    return this.transition('fail', snapshot, data, now, async (tx) => {
      await this.deadLetters.add(tx, letter);
      return true;
    });
  }

  /**
   * Starts one more attempt of a FAILED asset, whose incoming object must still exist.
   * @param also runs in the same transaction; false rolls it back
   */
  revive(snapshot: AssetSnapshot, now: Date, also: (tx: Tx) => Promise<boolean>): Promise<boolean> {
    const nextCheckAt = after(now, PROCESSING_SILENCE_MS);
    const data = { statusReason: null, statusDetail: null, attempt: { increment: 1 }, nextCheckAt };
    return this.transition('revive', snapshot, data, now, also);
  }

  /** Whether a FAILED asset was not retried while its incoming object was kept. A FAILED row does not change. */
  isLapsed({ updatedAt }: Pick<Asset, 'updatedAt'>, now: Date): boolean {
    return updatedAt <= after(now, -FAILED_KEEP_MS);
  }

  /** Expires a FAILED asset that was not retried while its incoming object was kept. */
  lapse(snapshot: AssetSnapshot, now: Date): Promise<boolean> {
    const data = { incomingPresent: true, nextCheckAt: after(now, CLEANUP_DELAY_MS) };
    // A FAILED row does not change, so `updatedAt` is the time of the failure. Rows of older releases are due much earlier.
    const where = { updatedAt: { lte: after(now, -FAILED_KEEP_MS) } };
    return this.transition('lapse', { ...snapshot, where }, data, now);
  }

  /** Expires an upload whose deadline has passed. Returns false also while an upload session is recorded. */
  expire(snapshot: AssetSnapshot, now: Date): Promise<boolean> {
    const data = { incomingPresent: true, nextCheckAt: after(now, CLEANUP_DELAY_MS) };
    return this.transition('expire', { ...snapshot, where: { uploadDeadlineAt: { lte: now } } }, data, now);
  }

  /**
   * Cancels an upload. A signed PUT URL stays valid for a while, so the next check at the deadline deletes bytes that still arrive.
   * Returns false also while an upload session is recorded.
   */
  cancel(snapshot: AssetSnapshot & Pick<Asset, 'uploadDeadlineAt'>, now: Date): Promise<boolean> {
    return this.transition(
      'cancel',
      snapshot,
      { incomingPresent: true, nextCheckAt: snapshot.uploadDeadlineAt },
      now,
    );
  }

  /**
   * Deletes an asset, which can be restored while it has a stored object. A PROCESSING asset is only marked; the transition that
   * ends PROCESSING deletes it. Returns false when the status changed meanwhile.
   */
  delete(snapshot: AssetSnapshot & Pick<Asset, 'status' | 'uploadDeadlineAt'>, now: Date): Promise<boolean> {
    const name = deletionOf(snapshot.status);
    if (name !== null) {
      const nextCheckAt =
        snapshot.status === 'PENDING' ? snapshot.uploadDeadlineAt : after(now, CLEANUP_DELAY_MS);
      const incomingPresent = snapshot.status === 'READY' ? undefined : true;
      return this.transition(name, snapshot, { deletedAt: now, incomingPresent, nextCheckAt }, now);
    }
    return this.states.requestDeletion(snapshot.id, now);
  }

  /** Restores an asset that was READY and whose bytes were not found infected since; returns false for any other. */
  restore(snapshot: AssetSnapshot & Pick<Asset, 'storedObjectId'>, now: Date): Promise<boolean> {
    const { storedObjectId } = snapshot;
    if (storedObjectId === null) return Promise.resolve(false);
    return this.transition(
      'restore',
      { ...snapshot, where: { storedObjectId } },
      { deletedAt: null },
      now,
      (tx) => this.objects.isStored(tx, storedObjectId),
    );
  }

  /**
   * Removes the row with its dependent rows, the reference to the stored object and the usage of quota, permanently. Returns false
   * when the asset holds a reservation (then it must be deleted first), has changed or does not exist.
   * @param keptFrom the start of the restore window, in which the bytes stay without references; null for no window
   */
  purge(snapshot: AssetSnapshot & Pick<Asset, 'status'>, keptFrom: Date | null): Promise<boolean> {
    if (HOLDS_RESERVATION.has(snapshot.status)) return Promise.resolve(false);
    return this.database.transaction(async (tx) => {
      const asset = await this.states.purge(tx, snapshot);
      if (asset === null) return false;
      if (asset.storedObjectId !== null) {
        await this.objects.removeReferences(tx, asset.storedObjectId, keptFrom);
      }
      const effect = asset.storedObjectId === null ? 'none' : 'return';
      await this.quotas.apply(tx, effect, snapshot.ownerId, BigInt(snapshot.sizeBytes));
      return true;
    });
  }

  /**
   * Rejects all READY assets of an infected stored object, in batches. @returns the number of rejected assets
   */
  async condemn(objectId: bigint, now: Date): Promise<number> {
    let condemned = 0;
    for (let count = CONDEMN_BATCH; count === CONDEMN_BATCH; condemned += count) {
      count = await this.database.transaction((tx) => this.condemnBatch(tx, objectId, now));
    }
    return condemned;
  }

  /** Locks assets, then the stored object, then quotas: the order of all transactions. */
  private async condemnBatch(tx: Tx, objectId: bigint, now: Date): Promise<number> {
    const rows = await this.states.condemn(tx, objectId, now);
    if (rows.length === 0) return 0;
    await this.objects.removeReferences(tx, objectId, null, rows.length);
    for (const { ownerId, sizeBytes } of rows.toSorted((a, b) => Number(a.ownerId - b.ownerId))) {
      await this.quotas.apply(tx, TRANSITIONS.condemn.quota, ownerId, sizeBytes);
    }
    return rows.length;
  }

  private async transition(
    name: TransitionName,
    snapshot: TransitionTarget,
    data: Prisma.MediaAssetUncheckedUpdateManyInput,
    now: Date,
    also: (tx: Tx) => Promise<boolean> = () => Promise.resolve(true),
  ): Promise<boolean> {
    class Undo extends Error {}
    try {
      return await this.database.transaction(async (tx) => {
        if (!(await this.states.move(tx, name, snapshot, data, now))) return false;
        // All transactions lock in this order, which avoids deadlocks: asset, stored object, quota.
        if (!(await also(tx))) throw new Undo();
        await this.quotas.apply(tx, TRANSITIONS[name].quota, snapshot.ownerId, BigInt(snapshot.sizeBytes));
        if (TRANSITIONS[name].from.includes('PROCESSING'))
          await this.deleteIfRequested(tx, name, snapshot, now);
        return true;
      });
    } catch (error) {
      // The stored object was deleted after it was written and before the asset pointed at it.
      if (error instanceof Undo || isForeignKeyViolation(error)) return false;
      throw error;
    }
  }

  /** Carries out a delete that was requested during PROCESSING. */
  private async deleteIfRequested(
    tx: Tx,
    previous: TransitionName,
    snapshot: AssetSnapshot,
    now: Date,
  ): Promise<void> {
    const name = deletionOf(TRANSITIONS[previous].to);
    if (name === null) return;
    const current = { ...snapshot, version: snapshot.version + 1, where: { deletedAt: { not: null } } };
    const data = { incomingPresent: true, nextCheckAt: after(now, CLEANUP_DELAY_MS) };
    if (await this.states.move(tx, name, current, data, now)) {
      await this.quotas.apply(tx, TRANSITIONS[name].quota, snapshot.ownerId, BigInt(snapshot.sizeBytes));
    }
  }
}

const obsolete = () =>
  new StowageError(
    'rejected',
    'REPLACEMENT_OBSOLETE',
    'The asset was deleted or got other bytes meanwhile, or this upload was deleted.',
  );

const reasonData = ({ code, message }: StatusReason) => ({
  statusReason: code,
  statusDetail: message.slice(0, 512),
});
