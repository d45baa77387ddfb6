import { Injectable } from '@nestjs/common';
import { columnsSql, Database, type MediaAsset, type Prisma, statement, type Tx } from '#libs/database';
import { type AssetProperties, TRANSITIONS, type TransitionName } from '#libs/domain';
import { DomainEventsRepository } from '#libs/events';
import type { Asset } from './asset.js';
import { propertyColumns } from './asset-contents.js';

/** An asset as the caller of a transition read it. The transition happens only if the row still has this version. */
export type AssetSnapshot = Pick<Asset, 'id' | 'ownerId' | 'sizeBytes' | 'version'>;

/** `where` holds conditions of the transition besides status and version. */
export type TransitionTarget = AssetSnapshot & { readonly where?: Prisma.MediaAssetWhereInput };

/** A request to process this generation of an asset's incoming object. */
export interface Claim {
  readonly assetId: string;
  readonly generation: string;
  readonly now: Date;
}

/** The asset of a claim that succeeded. */
export type Claimed = Pick<MediaAsset, 'assetId' | 'ownerId' | 'attempt' | 'requestId' | 'createdAt'>;

/** Locks rows in id order, so that two statements that claim some of the same assets cannot deadlock. */
const CLAIM = statement<Claimed>(
  'assets_claim',
  `with waiting as (
      select a.asset_id, c.generation, c.now
      from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as c (asset_id, generation, now)
        join media_assets a on a.asset_id = c.asset_id
      where a.status = 'PENDING' order by a.asset_id for no key update of a),
    claimed as (
      update media_assets a set status = 'PROCESSING', claimed_generation = w.generation, incoming_present = true, attempt = 1,
        upload_session = null, next_check_at = w.now + $4::interval, updated_at = w.now, version = version + 1
      from waiting w where a.asset_id = w.asset_id
      returning ${columnsSql<MediaAsset>('a', ['assetId', 'ownerId', 'attempt', 'requestId', 'createdAt'])}),
    logged as (
      insert into domain_events (type, asset_id, owner_id)
      select '${TRANSITIONS.claim.event}', "assetId", "ownerId" from claimed)
    select * from claimed`,
);

/** Rows that one statement condemns at most. */
export const CONDEMN_BATCH = 200;
const CONDEMN = statement<Pick<MediaAsset, 'ownerId' | 'sizeBytes'>>(
  'assets_condemn',
  `with taken as (
      select asset_id from media_assets
      where stored_object_id = $1 and status in (${TRANSITIONS.condemn.from.map((status) => `'${status}'`).join(', ')})
      order by asset_id limit ${CONDEMN_BATCH} for update),
    refused as (
      update media_assets a set status = '${TRANSITIONS.condemn.to}', status_reason = 'MALWARE',
        status_detail = 'The file was found to be infected after it had been stored.',
        stored_object_id = null, updated_at = $2, version = version + 1
      from taken t where a.asset_id = t.asset_id
      returning ${columnsSql<MediaAsset>('a', ['assetId', 'ownerId', 'sizeBytes'])}),
    logged as (
      insert into domain_events (type, asset_id, owner_id) select '${TRANSITIONS.condemn.event}', "assetId", "ownerId" from refused)
    select "ownerId", "sizeBytes" from refused`,
);

/** Writes the status of assets, each change with its event. */
@Injectable()
export class AssetStatesRepository {
  constructor(
    private readonly database: Database,
    private readonly events: DomainEventsRepository,
  ) {}

  /**
   * Claims distinct PENDING assets; the others are not in the result.
   * @param silenceMs time without progress, in milliseconds, until the next check of a task
   */
  async claim(claims: readonly Claim[], silenceMs: number): Promise<Claimed[]> {
    const claimed = await this.database.query(CLAIM, [
      claims.map(({ assetId }) => assetId),
      claims.map(({ generation }) => generation),
      claims.map(({ now }) => now),
      `${silenceMs} milliseconds`,
    ]);
    if (claimed.length > 0) this.events.announce();
    return claimed;
  }

  /** Carries out one transition. False if the row has another version or status, or does not meet `where`. */
  async move(
    tx: Tx,
    name: TransitionName,
    snapshot: TransitionTarget,
    data: Prisma.MediaAssetUncheckedUpdateManyInput,
    now: Date,
  ): Promise<boolean> {
    const { from, to, event, quota } = TRANSITIONS[name];
    // Storage may hold bytes of a recorded session, which the reservation covers until `IncomingSessionsService.end`.
    const where = quota === 'release' ? { ...snapshot.where, uploadSession: null } : snapshot.where;
    const { count } = await tx.mediaAsset.updateMany({
      where: { ...where, assetId: snapshot.id, version: snapshot.version, status: { in: [...from] } },
      data: { ...data, status: to, updatedAt: now, version: { increment: 1 } },
    });
    if (count === 0) return false;
    await this.events.append(tx, { type: event, assetId: snapshot.id, ownerId: snapshot.ownerId });
    return true;
  }

  async addProperties(
    tx: Tx,
    { id: assetId, ownerId, createdAt }: Pick<Asset, 'id' | 'ownerId' | 'createdAt'>,
    properties: AssetProperties,
  ): Promise<void> {
    await tx.assetProperties.create({
      data: { assetId, ownerId, createdAt, ...propertyColumns(properties) },
      select: { assetId: true },
    });
  }

  /**
   * Gives an asset the bytes of the upload that replaces it, if it is READY, belongs to the upload's owner and has the bytes of the time
   * of the request. Its properties are removed. @returns the replaced bytes; null if the asset has changed
   */
  async replace(
    tx: Tx,
    { ownerId, replaces, replacesObject }: Pick<Asset, 'ownerId' | 'replaces' | 'replacesObject'>,
    bytes: Prisma.MediaAssetUncheckedUpdateManyInput,
    now: Date,
  ): Promise<Pick<MediaAsset, 'createdAt' | 'sizeBytes'> | null> {
    const [replaced = null] = await tx.$queryRaw<Pick<MediaAsset, 'createdAt' | 'sizeBytes'>[]>`
      select created_at as "createdAt", size_bytes as "sizeBytes" from media_assets
      where asset_id = ${replaces}::uuid and owner_id = ${ownerId} and status = 'READY'
        and stored_object_id = ${replacesObject} for no key update`;
    if (replaced === null) return null;
    await tx.mediaAsset.updateMany({
      where: { assetId: replaces! },
      data: { ...bytes, updatedAt: now, version: { increment: 1 } },
    });
    await tx.assetProperties.deleteMany({ where: { assetId: replaces! } });
    await this.events.append(tx, { type: 'asset.replaced', assetId: replaces!, ownerId });
    return replaced;
  }

  /** Records the time of deletion. False if the deletion was requested before. */
  async markDeleted(tx: Tx, assetId: string, now: Date): Promise<boolean> {
    const { count } = await tx.mediaAsset.updateMany({
      where: { assetId, deletedAt: null },
      data: { deletedAt: now },
    });
    return count === 1;
  }

  /** Marks a PROCESSING asset, which the transition that ends PROCESSING deletes. False in another status. */
  async requestDeletion(assetId: string, now: Date): Promise<boolean> {
    const { count } = await this.database.read((prisma) =>
      prisma.mediaAsset.updateMany({
        where: { assetId, status: 'PROCESSING' },
        data: { deletedAt: now, updatedAt: now },
      }),
    );
    return count === 1;
  }

  /**
   * Gives the asset to another owner, with the location of its bytes if they move. The idempotency key ends: it was unique among the
   * requests of the former owner only. False if the row has changed or does not exist.
   */
  async changeOwner(
    tx: Tx,
    { id: assetId, ownerId: from, version, status }: AssetSnapshot & Pick<Asset, 'status'>,
    ownerId: bigint,
    bytes: Partial<Pick<Asset, 'storedObjectId' | 'bucket' | 'objectKey'>>,
    now: Date,
  ): Promise<boolean> {
    // The retention of a FAILED upload is counted from the last change of its row.
    const updatedAt = status === 'FAILED' ? undefined : now;
    const { count } = await tx.mediaAsset.updateMany({
      where: { assetId, ownerId: from, version, status },
      data: {
        ...bytes,
        ownerId,
        idempotencyKey: null,
        idempotencyFingerprint: null,
        updatedAt,
        version: { increment: 1 },
      },
    });
    if (count === 0) return false;
    await this.events.append(tx, { type: 'asset.transferred', assetId, ownerId });
    return true;
  }

  /** Deletes the row. Null if it has changed or does not exist. */
  async purge(
    tx: Tx,
    { id: assetId, ownerId, version, status }: AssetSnapshot & Pick<Asset, 'status'>,
  ): Promise<Pick<Asset, 'storedObjectId'> | null> {
    const where = { assetId, version, status };
    const asset = await tx.mediaAsset.findFirst({ where, select: { storedObjectId: true } });
    if (asset === null) return null;
    const { count } = await tx.mediaAsset.deleteMany({ where });
    if (count === 0) return null;
    await this.events.append(tx, { type: 'asset.purged', assetId, ownerId });
    return asset;
  }

  /** Rejects the READY assets of an infected stored object, {@link CONDEMN_BATCH} at most. */
  async condemn(
    tx: Tx,
    objectId: bigint,
    now: Date,
  ): Promise<readonly Pick<MediaAsset, 'ownerId' | 'sizeBytes'>[]> {
    const condemned = await tx.$queryRawUnsafe<Pick<MediaAsset, 'ownerId' | 'sizeBytes'>[]>(
      CONDEMN.text,
      objectId,
      now,
    );
    if (condemned.length > 0) this.events.announceAfterCommit(tx);
    return condemned;
  }
}
