import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { CollectionService, StoredObjectsRepository } from '#libs/content';
import { Clock } from '#libs/database';
import { type Actor, STATUSES_WITHOUT_INCOMING_OBJECT, StowageError, assetChanging } from '#libs/domain';
import type { Asset } from './asset.js';
import { AssetsService } from './assets.service.js';
import { IncomingObjectsService } from './incoming-objects.service.js';
import { IncomingSessionsService } from './incoming-sessions.service.js';
import { AssetTransitionsService } from './asset-transitions.service.js';

/** Each retry means that the asset changed its status meanwhile, which it does only a few times. */
const MAX_TRIES = 5;

/** Deletes, restores and purges assets for callers with the permission DELETE. */
@Injectable()
export class AssetRemovalService {
  constructor(
    private readonly assets: AssetsService,
    private readonly transitions: AssetTransitionsService,
    private readonly incoming: IncomingObjectsService,
    private readonly sessions: IncomingSessionsService,
    private readonly objects: StoredObjectsRepository,
    private readonly collection: CollectionService,
    private readonly logger: PinoLogger,
    private readonly clock: Clock,
  ) {
    logger.setContext(AssetRemovalService.name);
  }

  /**
   * Deletes an asset, which can be restored until it is purged. Repeating the call returns the deleted asset.
   * @throws StowageError not-found, forbidden, unavailable; conflict ASSET_CHANGING
   */
  async delete(actor: Actor, id: string): Promise<Asset> {
    return this.retryWhileChanging(actor, id, async (asset) => {
      if (asset.deletedAt !== null) return true;
      return this.deleteOnce(asset);
    });
  }

  /** {@link delete} for an asset that was read with the permission DELETE and is not read again unless it has changed. */
  async deleteFound(actor: Actor, asset: Asset): Promise<void> {
    if (!(await this.deleteOnce(asset))) await this.delete(actor, asset.id);
  }

  /**
   * Restores a deleted asset that was READY. Repeating the call returns the asset.
   * @throws StowageError not-found, forbidden, unavailable; conflict NOTHING_TO_RESTORE, ASSET_CHANGING
   */
  async restore(actor: Actor, id: string): Promise<Asset> {
    return this.retryWhileChanging(actor, id, async (asset) => {
      if (asset.status === 'READY') return true;
      if (asset.status !== 'DELETED' || asset.storedObjectId === null) {
        throw new StowageError(
          'conflict',
          'NOTHING_TO_RESTORE',
          'Only a deleted asset that was READY can be restored.',
        );
      }
      if (await this.transitions.restore(asset, this.clock.now())) return true;
      if (await this.objects.isQuarantined(asset.storedObjectId)) {
        throw new StowageError('conflict', 'NOTHING_TO_RESTORE', 'The file was found to be infected.');
      }
      return false;
    });
  }

  /**
   * Removes an asset immediately and permanently: its rows, and the bytes unless another asset shares them.
   * @throws StowageError not-found, also when the call is repeated; forbidden; conflict STILL_PROCESSING, ASSET_CHANGING;
   * unavailable, in which case the asset still exists but may be DELETED
   */
  async purge(actor: Actor, id: string): Promise<void> {
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const asset = await this.assets.get(actor, id, 'DELETE');
      if (asset.status === 'PROCESSING') {
        throw new StowageError(
          'conflict',
          'STILL_PROCESSING',
          'This asset is being processed. Try again later.',
        );
      }
      if (!STATUSES_WITHOUT_INCOMING_OBJECT.includes(asset.status)) {
        // The incoming object is needed until the asset is deleted.
        await this.deleteOnce(asset);
        continue;
      }
      // Must precede the deletion of the row, which is the only reference to the incoming object.
      await this.incoming.discard(asset.id, asset.claimedGeneration, this.clock.now());
      if (await this.transitions.purge(asset, null)) {
        this.logger.info({ assetId: id }, 'asset purged');
        if (asset.storedObjectId !== null) await this.collect(asset.storedObjectId, id);
        return;
      }
    }
    throw assetChanging();
  }

  private async deleteOnce(asset: Asset): Promise<boolean> {
    const now = this.clock.now();
    if (asset.status === 'PENDING') await this.sessions.end(asset, now);
    return this.transitions.delete(asset, now);
  }

  private async retryWhileChanging(
    actor: Actor,
    id: string,
    change: (asset: Asset) => Promise<boolean>,
  ): Promise<Asset> {
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const asset = await this.assets.get(actor, id, 'DELETE');
      if (await change(asset)) return this.assets.get(actor, id, 'DELETE');
    }
    throw assetChanging();
  }

  /** Best effort: the collector deletes objects that remain. */
  private async collect(objectId: bigint, assetId: string): Promise<void> {
    try {
      await this.collection.collect(objectId, this.clock.now());
    } catch (err) {
      this.logger.warn({ err, assetId }, 'bytes of a purged asset not deleted yet');
    }
  }
}
