import { Args, ID, Resolver, Subscription } from '@nestjs/graphql';
import type { Actor } from '#libs/domain';
import { CurrentActor } from '#libs/identity/graphql';
import type { Asset } from '../asset.js';
import { AssetChangesService } from '../asset-changes.service.js';
import { AssetModel } from './asset.model.js';

const resolve = (asset: Asset) => new AssetModel(asset);

@Resolver()
export class AssetChangesResolver {
  constructor(private readonly changes: AssetChangesService) {}

  @Subscription(() => AssetModel, {
    resolve,
    description:
      'Sends the current state first, then changes. States may be skipped when several follow fast; the last one always ' +
      'arrives. Completes when the asset is purged, the token expires, or the caller may no longer READ it: within a second after ' +
      'a grant was revoked or expired, and when the asset is deleted, for callers who may not delete it. NOT_FOUND when ' +
      'the asset does not exist or the caller may not read it.',
  })
  assetChanged(
    @CurrentActor() actor: Actor,
    @Args('id', { type: () => ID, description: 'Id of the asset.' }) id: string,
  ): Promise<AsyncIterableIterator<Asset>> {
    return this.changes.watch(actor, [id]);
  }

  @Subscription(() => AssetModel, {
    resolve,
    description:
      'Like assetChanged, for up to 100 assets at once. Skips assets that do not exist or that the caller may not read, and drops ' +
      'those that the caller loses; completes when none is left, and fails with NOT_FOUND when there is none at the start.',
  })
  assetsChanged(
    @CurrentActor() actor: Actor,
    @Args('ids', { type: () => [ID], description: 'Ids of 1 to 100 assets.' }) ids: string[],
  ): Promise<AsyncIterableIterator<Asset>> {
    return this.changes.watch(actor, ids);
  }
}
