import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { FeatureGrantsService } from '#libs/access';
import { type ScopeCopy, ScopeCopiesService } from '#libs/content';
import { Clock, Database, isForeignKeyViolation } from '#libs/database';
import { type Actor, StowageError, assetChanging } from '#libs/domain';
import { type QuotaMove, QuotaMovesService } from '#libs/quota';
import type { Asset } from './asset.js';
import { AssetStatesRepository } from './asset-states.repository.js';
import { HOLDS_RESERVATION } from './asset-transitions.service.js';
import { AssetsService } from './assets.service.js';

/** Each retry means that the asset or its bytes changed meanwhile, which they do only a few times. */
const MAX_TRIES = 5;

/** The bytes were deleted after they were copied and before the asset pointed at them. */
class CopyLost extends Error {}

/** Gives assets to other owners, for operators. */
@Injectable()
export class AssetTransferService {
  constructor(
    private readonly database: Database,
    private readonly assets: AssetsService,
    private readonly states: AssetStatesRepository,
    private readonly grants: FeatureGrantsService,
    private readonly copies: ScopeCopiesService,
    private readonly quotas: QuotaMovesService,
    private readonly logger: PinoLogger,
    private readonly clock: Clock,
  ) {
    logger.setContext(AssetTransferService.name);
  }

  /**
   * Gives an asset to another owner, with its metadata, its access list and its share of the quota. Grants of features and the
   * idempotency key of its upload end. If owners share no objects, the bytes and variants are copied first. Repeating the call returns
   * the asset. Does not check whether the actor is an operator; the calling code must have done so.
   * @throws StowageError not-found; over-quota QUOTA_EXCEEDED when the new owner has no room; conflict UPLOAD_UNFINISHED,
   * BYTES_NOT_COPYABLE, ASSET_CHANGING; unavailable
   */
  async transfer(actor: Actor, id: string, ownerId: bigint): Promise<Asset> {
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const asset = await this.assets.get(actor, id, 'READ');
      if (asset.ownerId === ownerId) return asset;
      if (!(await this.transferOnce(asset, ownerId))) continue;
      this.logger.info(
        { assetId: id, from: String(asset.ownerId), to: String(ownerId) },
        'asset transferred',
      );
      return this.assets.get(actor, id, 'READ');
    }
    throw assetChanging();
  }

  /** @returns false when the asset or its bytes have changed since they were read */
  private async transferOnce(asset: Asset, to: bigint): Promise<boolean> {
    // A client or a worker that has read the asset works on: its ticket, its job and the scope of its bytes belong to the old owner.
    if (asset.status === 'PENDING' || asset.status === 'PROCESSING') throw unfinished();
    const usage = usageOf(asset, to);
    if (usage !== null) await this.quotas.assertRoom(usage);
    if (asset.storedObjectId === null) return this.change(asset, to, usage, null);
    const copy = await this.copyFor(asset, asset.storedObjectId, to);
    return copy !== undefined && this.change(asset, to, usage, copy);
  }

  /** @returns undefined when the asset got other bytes meanwhile, so that the old ones may be gone */
  private async copyFor(asset: Asset, objectId: bigint, to: bigint): Promise<ScopeCopy | null | undefined> {
    try {
      return await this.copies.copyInto(this.copies.scopeOf(to), objectId);
    } catch (error) {
      const current = await this.assets.findWithoutAccessCheck(asset.id);
      if (current?.version !== asset.version) return undefined;
      throw error;
    }
  }

  /** Locks the asset, then stored objects, then quotas: the order of all transactions. */
  private async change(
    asset: Asset,
    to: bigint,
    usage: QuotaMove | null,
    copy: ScopeCopy | null,
  ): Promise<boolean> {
    const bytes = copy && { storedObjectId: copy.objectId, bucket: copy.bucket, objectKey: copy.key };
    try {
      return await this.database.transaction(async (tx) => {
        if (!(await this.states.changeOwner(tx, asset, to, bytes ?? {}, this.clock.now()))) return false;
        await this.grants.clear(tx, [asset.id]);
        if (copy !== null && !(await this.copies.moveReference(tx, copy))) throw new CopyLost();
        if (usage !== null) await this.quotas.move(tx, usage);
        return true;
      });
    } catch (error) {
      if (error instanceof CopyLost || isForeignKeyViolation(error)) return false;
      throw error;
    }
  }
}

/** The usage that moves with the asset; null for an asset that does not count. */
function usageOf({ ownerId: from, status, storedObjectId, sizeBytes }: Asset, to: bigint): QuotaMove | null {
  if (HOLDS_RESERVATION.has(status)) return { from, to, sizeBytes, kind: 'reserved' };
  return storedObjectId === null ? null : { from, to, sizeBytes, kind: 'used' };
}

const unfinished = () =>
  new StowageError(
    'conflict',
    'UPLOAD_UNFINISHED',
    'The upload of this asset has not finished. Transfer the asset when it is READY, or cancel the upload.',
  );
