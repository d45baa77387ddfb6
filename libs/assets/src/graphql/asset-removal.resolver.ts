import { Args, ID, Mutation, Resolver } from '@nestjs/graphql';
import type { Actor, StowageError } from '#libs/domain';
import { MaxItems, RefusedItems } from '#libs/graphql';
import { CurrentActor } from '#libs/identity/graphql';
import { AssetBatchRemovalService } from '../asset-batch-removal.service.js';
import { AssetRemovalService } from '../asset-removal.service.js';
import { MAX_ITEMS } from '../asset-updates.service.js';
import { AssetOutcomeModel } from './asset-outcome.model.js';
import { AssetModel } from './asset.model.js';

/** Lets the API refuse invalid items of {@link AssetRemovalResolver.deleteAssets} one by one. */
export const DELETE_BATCH = { field: 'deleteAssets', argument: 'ids', most: MAX_ITEMS } as const;

const ASSET_ID = { type: () => ID, description: 'Id of the asset.' };

@Resolver()
export class AssetRemovalResolver {
  constructor(
    private readonly removal: AssetRemovalService,
    private readonly batchRemoval: AssetBatchRemovalService,
  ) {}

  @Mutation(() => AssetModel, {
    description:
      'Deletes an asset, which can be restored until it is purged. A PENDING upload is cancelled; an asset in PROCESSING ' +
      'is deleted when processing ends. Repeating the call returns the deleted asset.',
  })
  async deleteAsset(@CurrentActor() actor: Actor, @Args('id', ASSET_ID) id: string): Promise<AssetModel> {
    return new AssetModel(await this.removal.delete(actor, id));
  }

  @MaxItems(MAX_ITEMS)
  @Mutation(() => [AssetOutcomeModel], {
    description:
      'Deletes 1 to 100 assets like deleteAsset, each independently. Outcomes are in the order of the ids. Repeating the call ' +
      'returns the deleted assets. UNAVAILABLE in an outcome: repeat the call for this asset.',
  })
  async deleteAssets(
    @CurrentActor() actor: Actor,
    @Args('ids', { type: () => [ID], description: 'Ids of 1 to 100 assets.' }) ids: string[],
    @RefusedItems() refused: ReadonlyMap<number, StowageError>,
  ): Promise<AssetOutcomeModel[]> {
    const items = ids.map((id, index) => refused.get(index) ?? id);
    const outcomes = await this.batchRemoval.deleteAll(actor, items);
    return outcomes.map((outcome, index) => new AssetOutcomeModel(index, outcome));
  }

  @Mutation(() => AssetModel, {
    description:
      'Restores a deleted asset that was READY; CONFLICT for any other. Repeating the call returns the asset.',
  })
  async restoreAsset(@CurrentActor() actor: Actor, @Args('id', ASSET_ID) id: string): Promise<AssetModel> {
    return new AssetModel(await this.removal.restore(actor, id));
  }

  @Mutation(() => ID, {
    description:
      'Removes an asset immediately and permanently: its record, its variants, and its bytes unless another asset shares them. ' +
      'CONFLICT while PROCESSING; NOT_FOUND when repeated.',
  })
  async purgeAsset(@CurrentActor() actor: Actor, @Args('id', ASSET_ID) id: string): Promise<string> {
    await this.removal.purge(actor, id);
    return id;
  }
}
