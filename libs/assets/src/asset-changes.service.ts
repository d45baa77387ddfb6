import { Injectable } from '@nestjs/common';
import { Clock } from '#libs/database';
import { type Actor, assetNotFound, invalid } from '#libs/domain';
import { AssetFeed } from '#libs/events';
import type { Asset } from './asset.js';
import { AssetSubscription } from './asset-subscription.js';
import { AssetsService } from './assets.service.js';
import { OwnerReads } from './owner-reads.js';
import { SubscriptionRateLimiter } from './subscription-rate-limiter.js';

const MAX_ASSETS = 100;

/** Streams changes of assets to callers that may read them. */
@Injectable()
export class AssetChangesService {
  private readonly reads: OwnerReads;

  constructor(
    assets: AssetsService,
    private readonly feed: AssetFeed,
    private readonly rateLimiter: SubscriptionRateLimiter,
    private readonly clock: Clock,
  ) {
    this.reads = new OwnerReads(assets);
  }

  /**
   * Yields the current state of each asset, then each change of it or of the caller's permissions. States may be skipped; the last one
   * is always sent. Every read checks access again, after each change and when a grant ends. Ends when no asset is left that exists
   * and that the caller may read, or when the caller's token expires. Assets that the caller may not read are not watched, so that the
   * timing of reads and of the end does not reveal their changes.
   * {@link OwnerReads} and {@link SubscriptionRateLimiter} limit reads and messages over all subscriptions of an owner.
   * @throws StowageError invalid ASSET_COUNT; not-found ASSET_NOT_FOUND when the caller may read none of them; unavailable
   */
  async watch(actor: Actor, ids: readonly string[]): Promise<AsyncIterableIterator<Asset>> {
    const { reads, rateLimiter, clock } = this;
    const wanted = [...new Set(ids)];
    if (wanted.length < 1 || wanted.length > MAX_ASSETS) {
      throw invalid('ASSET_COUNT', `Watch 1 to ${MAX_ASSETS} assets at a time.`, ['ids']);
    }
    // Watching starts before the read, so that no change in between is missed.
    const watch = this.feed.watch(wanted);
    try {
      const found = await reads.read(actor, wanted);
      if (found.assets.length === 0) throw assetNotFound();
      return new AssetSubscription(actor, watch, found, { reads, rateLimiter, clock }).iterate();
    } catch (error) {
      watch.close();
      throw error;
    }
  }
}
