import { Injectable } from '@nestjs/common';
import { Database, isForeignKeyViolation, type Prisma, type Statement, type Tx } from '#libs/database';
import {
  type AssetProperties,
  type AssetStatus,
  deletionOf,
  FAILED_KEEP_MS,
  type ObjectRef,
  type VariantsReason,
  type StatusReason,
  TRANSITIONS,
  type TransitionName,
} from '#libs/domain';
import { StoredObjectsService } from '#libs/content';
import { DomainEvents, EventRelay } from '#libs/events';
import { DeadLettersService, type NewDeadLetter } from '#libs/queue';
import { QuotaService } from '#libs/quota';
import type { Asset } from './asset.js';
import { propertyColumns } from './asset-contents.js';

/** The asset as the caller of a transition saw it. */
export type Seen = Pick<Asset, 'id' | 'ownerId' | 'sizeBytes' | 'version'>;

/** What the pipeline has found, for an asset that becomes READY. */
export interface Accepted extends ObjectRef {
  readonly objectId: bigint;
  readonly mimeType: string;
  readonly properties: AssetProperties;
  /** Who looked for malware, and whether they found all of it clean. */
  readonly scannedBy: string;
  readonly isClean: boolean;
  /** The specifications of the object's variants, made or tried; null for bytes that get none. */
  readonly variantSpecs: string | null;
  /** Why a picture has no variants; null when it has them, and for other files. */
  readonly variantsReason: VariantsReason | null;
}

/** What must still be true, besides status and version. */
type Guarded = Seen & { readonly where?: Prisma.MediaAssetWhereInput };

/** The first object of an asset that was seen. */
export interface Claim {
  readonly assetId: string;
  readonly generation: string;
  readonly now: Date;
}

export interface Claimed {
  readonly ownerId: bigint;
  readonly attempt: number;
  readonly requestId: string;
  readonly createdAt: Date;
}

interface ClaimedRow {
  asset_id: string;
  owner_id: string;
  attempt: number;
  request_id: string;
  created_at: Date;
}

/** Rows are locked in the order of their ids: two statements that claim some of the same assets cannot deadlock. */
const CLAIM: Statement<ClaimedRow> = {
  name: 'assets_claim',
  text: `with waiting as (
      select a.asset_id, c.generation, c.now
      from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as c (asset_id, generation, now)
        join media_assets a on a.asset_id = c.asset_id
      where a.status = 'PENDING' order by a.asset_id for no key update of a),
    claimed as (
      update media_assets a set status = 'PROCESSING', claimed_generation = w.generation, incoming_present = true, attempt = 1,
        upload_session = null, next_check_at = w.now + $4::interval, updated_at = w.now, version = version + 1
      from waiting w where a.asset_id = w.asset_id
      returning a.asset_id, a.owner_id, a.attempt, a.request_id, a.created_at),
    logged as (
      insert into domain_events (type, asset_id, owner_id)
      select '${TRANSITIONS.claim.event}', asset_id, owner_id from claimed)
    select asset_id, owner_id::text, attempt, request_id, created_at from claimed`,
};

const CONDEMN_BATCH = 200;
const CONDEMN = `with taken as (
    select asset_id from media_assets
    where stored_object_id = $1 and status in (${TRANSITIONS.condemn.from.map((status) => `'${status}'`).join(', ')})
    order by asset_id limit ${CONDEMN_BATCH} for update),
  refused as (
    update media_assets a set status = '${TRANSITIONS.condemn.to}', status_reason = 'MALWARE',
      status_detail = 'The file was found to be infected after it had been stored.',
      stored_object_id = null, updated_at = $2, version = version + 1
    from taken t where a.asset_id = t.asset_id
    returning a.asset_id, a.owner_id, a.size_bytes),
  logged as (
    insert into domain_events (type, asset_id, owner_id) select '${TRANSITIONS.condemn.event}', asset_id, owner_id from refused)
  select owner_id::text, size_bytes::text from refused`;

interface CondemnedRow {
  owner_id: string;
  size_bytes: string;
}

const byOwner = (a: CondemnedRow, b: CondemnedRow) => Number(BigInt(a.owner_id) - BigInt(b.owner_id));

/** How long work on an asset may be silent before a sweeper looks, and how long a terminal one may keep its bytes. */
const PROCESSING_SILENCE_MS = 5 * 60_000;
const WASTE_AFTER_MS = 60_000;

/** Statuses in which the owner's quota holds a reservation for the asset. */
const HOLDS_RESERVATION: ReadonlySet<AssetStatus> = new Set(['PENDING', 'PROCESSING', 'FAILED']);

const after = (now: Date, ms: number) => new Date(now.getTime() + ms);

/**
 * Every change of an asset's status. Each method is one transaction that holds the row's change, the quota's and the
 * event; false means that the asset was not (any more) as the caller had seen it, and nothing was done.
 */
@Injectable()
export class AssetTransitionsService {
  constructor(
    private readonly database: Database,
    private readonly quotas: QuotaService,
    private readonly events: DomainEvents,
    private readonly relay: EventRelay,
    private readonly objects: StoredObjectsService,
    private readonly deadLetters: DeadLettersService,
  ) {}

  /**
   * The bytes are here: these generations, and no others, are what will be processed. Of several claims to one asset the first
   * counts.
   * @returns in the order of the claims; null for an asset that is not PENDING
   */
  async claim(claims: readonly Claim[]): Promise<(Claimed | null)[]> {
    const first = new Map<string, Claim>();
    for (const claim of claims) if (!first.has(claim.assetId)) first.set(claim.assetId, claim);
    const distinct = [...first.values()];
    const rows = await this.database.query(CLAIM, [
      distinct.map(({ assetId }) => assetId),
      distinct.map(({ generation }) => generation),
      distinct.map(({ now }) => now),
      `${PROCESSING_SILENCE_MS} milliseconds`,
    ]);
    if (rows.length > 0) this.relay.wake();
    const claimed = new Map(rows.map((row) => [row.asset_id, row]));
    return claims.map((claim) => {
      const row = first.get(claim.assetId) === claim ? claimed.get(claim.assetId) : undefined;
      if (row === undefined) return null;
      const { owner_id: owner, attempt, request_id: requestId, created_at: createdAt } = row;
      return { ownerId: BigInt(owner), attempt, requestId, createdAt };
    });
  }

  /** Processing failed in a way that may pass: one more attempt. */
  retry(seen: Seen, now: Date): Promise<boolean> {
    const data = { attempt: { increment: 1 }, nextCheckAt: after(now, PROCESSING_SILENCE_MS) };
    return this.committed((tx) => this.move(tx, 'retry', seen, data, now));
  }

  /**
   * Hash, size, type and scan are right and the bytes are stored: READY, and one more reference. False also when the stored
   * object is no longer one to point at; the caller stores the bytes again.
   */
  accept(seen: Seen & Pick<Asset, 'createdAt'>, accepted: Accepted, now: Date): Promise<boolean> {
    const { objectId, bucket, key, mimeType, properties, scannedBy, isClean } = accepted;
    const data = {
      storedObjectId: objectId,
      bucket,
      objectKey: key,
      mimeType,
      scannedBy: isClean ? scannedBy : null,
      readyAt: now,
      nextCheckAt: after(now, WASTE_AFTER_MS),
    };
    return this.settle('accept', seen, data, now, async (tx) => {
      const { variantSpecs, variantsReason } = accepted;
      const facts = { scannedBy, variantSpecs, variantsReason, now };
      if (!(await this.objects.addReference(tx, objectId, facts))) return false;
      const { id: assetId, ownerId, createdAt } = seen;
      await tx.assetProperties.create({
        data: { assetId, ownerId, createdAt, ...propertyColumns(properties) },
        select: { assetId: true },
      });
      return true;
    });
  }

  /** The bytes are not what was promised. */
  reject(seen: Seen, reason: StatusReason, now: Date): Promise<boolean> {
    return this.settle(
      'reject',
      seen,
      { ...reasonData(reason), nextCheckAt: after(now, WASTE_AFTER_MS) },
      now,
    );
  }

  /** All attempts are used up; the bytes stay, and an operator finds the dead letter. */
  fail(seen: Seen, reason: StatusReason, letter: NewDeadLetter, now: Date): Promise<boolean> {
    const data = { ...reasonData(reason), nextCheckAt: after(now, FAILED_KEEP_MS) };
    return this.settle('fail', seen, data, now, async (tx) => {
      await this.deadLetters.add(tx, letter);
      return true;
    });
  }

  /** One more attempt at what had failed for good, while its bytes are there, together with what `also` does. */
  revive(seen: Seen, now: Date, also: (tx: Tx) => Promise<boolean>): Promise<boolean> {
    const nextCheckAt = after(now, PROCESSING_SILENCE_MS);
    const data = { statusReason: null, statusDetail: null, attempt: { increment: 1 }, nextCheckAt };
    return this.settle('revive', seen, data, now, also);
  }

  /** Failed for good, and nobody revived it while its bytes were kept. */
  lapse(seen: Seen, now: Date): Promise<boolean> {
    const data = { incomingPresent: true, nextCheckAt: after(now, WASTE_AFTER_MS) };
    // Nothing changes what is FAILED. What failed in a process of an older version comes up long before that.
    const where = { updatedAt: { lte: after(now, -FAILED_KEEP_MS) } };
    return this.settle('lapse', { ...seen, where }, data, now);
  }

  /** The upload deadline passed and nothing came. False also while the upload's session is recorded. */
  expire(seen: Seen, now: Date): Promise<boolean> {
    const data = { incomingPresent: true, nextCheckAt: after(now, WASTE_AFTER_MS) };
    return this.settle('expire', { ...seen, where: { uploadDeadlineAt: { lte: now } } }, data, now);
  }

  /**
   * The client gave up. The URL of a PUT lives on for a while, so what still arrives is looked for at the deadline. False also
   * while the upload's session is recorded.
   */
  cancel(seen: Seen & Pick<Asset, 'uploadDeadlineAt'>, now: Date): Promise<boolean> {
    return this.settle('cancel', seen, { incomingPresent: true, nextCheckAt: seen.uploadDeadlineAt }, now);
  }

  /**
   * Out of sight, and recoverable while it has a stored object. What is PROCESSING is marked and deleted by the
   * transition that settles it. False when the status changed meanwhile.
   */
  async delete(seen: Seen & Pick<Asset, 'status' | 'uploadDeadlineAt'>, now: Date): Promise<boolean> {
    const name = deletionOf(seen.status);
    if (name !== null) {
      const nextCheckAt = seen.status === 'PENDING' ? seen.uploadDeadlineAt : after(now, WASTE_AFTER_MS);
      const incomingPresent = seen.status === 'READY' ? undefined : true;
      return this.settle(name, seen, { deletedAt: now, incomingPresent, nextCheckAt }, now);
    }
    const { count } = await this.database.read((prisma) =>
      prisma.mediaAsset.updateMany({
        where: { assetId: seen.id, status: 'PROCESSING' },
        data: { deletedAt: now, updatedAt: now },
      }),
    );
    return count === 1;
  }

  /** Only what had become READY and is not found infected since; false for anything else. */
  restore(seen: Seen & Pick<Asset, 'storedObjectId'>, now: Date): Promise<boolean> {
    const { storedObjectId } = seen;
    if (storedObjectId === null) return Promise.resolve(false);
    return this.settle('restore', { ...seen, where: { storedObjectId } }, { deletedAt: null }, now, (tx) =>
      this.objects.isStored(tx, storedObjectId),
    );
  }

  /**
   * For good: the row and everything on it, its reference, its quota. False when it is unfinished (and so to be deleted
   * first), changed or gone.
   */
  purge(seen: Seen & Pick<Asset, 'status'>): Promise<boolean> {
    return this.committed(async (tx) => {
      const where = { assetId: seen.id, version: seen.version, status: seen.status };
      const asset = await tx.mediaAsset.findFirst({ where, select: { storedObjectId: true } });
      if (asset === null || HOLDS_RESERVATION.has(seen.status)) return false;
      const { count } = await tx.mediaAsset.deleteMany({ where });
      if (count === 0) return false;
      await this.events.append(tx, { type: 'asset.purged', assetId: seen.id, ownerId: seen.ownerId });
      if (asset.storedObjectId !== null) await this.objects.removeReferences(tx, asset.storedObjectId);
      const effect = asset.storedObjectId === null ? 'none' : 'return';
      await this.quotas.apply(tx, effect, seen.ownerId, BigInt(seen.sizeBytes));
      return true;
    });
  }

  /**
   * Rejects all READY and DELETED assets of an infected stored object, in batches. @returns their number
   */
  async condemn(objectId: bigint, now: Date): Promise<number> {
    let condemned = 0;
    for (let count = CONDEMN_BATCH; count === CONDEMN_BATCH; condemned += count) {
      count = await this.database.transaction((tx) => this.condemnBatch(tx, objectId, now));
      if (count > 0) this.relay.wake();
    }
    return condemned;
  }

  /** Locks assets first, then the object, then quotas. */
  private async condemnBatch(tx: Tx, objectId: bigint, now: Date): Promise<number> {
    const rows = await tx.$queryRawUnsafe<CondemnedRow[]>(CONDEMN, objectId, now);
    if (rows.length === 0) return 0;
    await this.objects.removeReferences(tx, objectId, rows.length);
    for (const { owner_id: owner, size_bytes: size } of rows.toSorted(byOwner)) {
      await this.quotas.apply(tx, TRANSITIONS.condemn.quota, BigInt(owner), BigInt(size));
    }
    return rows.length;
  }

  /** One transaction, whose events are delivered once it is committed. */
  private async committed(work: (tx: Tx) => Promise<boolean>): Promise<boolean> {
    const done = await this.database.transaction(work);
    if (done) this.relay.wake();
    return done;
  }

  private async settle(
    name: TransitionName,
    seen: Guarded,
    data: Prisma.MediaAssetUncheckedUpdateManyInput,
    now: Date,
    also: (tx: Tx) => Promise<boolean> = () => Promise.resolve(true),
  ): Promise<boolean> {
    class Undo extends Error {}
    try {
      return await this.committed(async (tx) => {
        if (!(await this.move(tx, name, seen, data, now))) return false;
        // Locks are taken in one order everywhere: asset, stored object, quota.
        if (!(await also(tx))) throw new Undo();
        await this.quotas.apply(tx, TRANSITIONS[name].quota, seen.ownerId, BigInt(seen.sizeBytes));
        if (TRANSITIONS[name].from.includes('PROCESSING')) await this.deleteAsAsked(tx, name, seen, now);
        return true;
      });
    } catch (error) {
      // The stored object went between being stored and being pointed at.
      if (error instanceof Undo || isForeignKeyViolation(error)) return false;
      throw error;
    }
  }

  /** A delete that came during PROCESSING. */
  private async deleteAsAsked(tx: Tx, settledBy: TransitionName, seen: Seen, now: Date): Promise<void> {
    const name = deletionOf(TRANSITIONS[settledBy].to);
    if (name === null) return;
    const settled = { ...seen, version: seen.version + 1, where: { deletedAt: { not: null } } };
    const data = { incomingPresent: true, nextCheckAt: after(now, WASTE_AFTER_MS) };
    if (await this.move(tx, name, settled, data, now)) {
      await this.quotas.apply(tx, TRANSITIONS[name].quota, seen.ownerId, BigInt(seen.sizeBytes));
    }
  }

  private async move(
    tx: Tx,
    name: TransitionName,
    seen: Guarded,
    data: Prisma.MediaAssetUncheckedUpdateManyInput,
    now: Date,
  ): Promise<boolean> {
    const { from, to, event, quota } = TRANSITIONS[name];
    // Storage may hold bytes for a session that is recorded: the reservation stands for them until IncomingSessions.end.
    const also = quota === 'release' ? { ...seen.where, uploadSession: null } : seen.where;
    const { count } = await tx.mediaAsset.updateMany({
      where: { ...also, assetId: seen.id, version: seen.version, status: { in: [...from] } },
      data: { ...data, status: to, updatedAt: now, version: { increment: 1 } },
    });
    if (count === 0) return false;
    await this.events.append(tx, { type: event, assetId: seen.id, ownerId: seen.ownerId });
    return true;
  }
}

const reasonData = ({ code, message }: StatusReason) => ({
  statusReason: code,
  statusDetail: message.slice(0, 512),
});
