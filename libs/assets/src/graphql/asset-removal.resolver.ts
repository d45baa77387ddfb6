import { Args, ID, Mutation, Resolver } from '@nestjs/graphql';
import type { Actor } from '#libs/domain';
import { CurrentActor } from '#libs/identity/graphql';
import { AssetRemovalService } from '../asset-removal.service.js';
import { AssetModel } from './asset.model.js';

const ASSET_ID = { type: () => ID, description: 'Id of the asset.' };

@Resolver()
export class AssetRemovalResolver {
  constructor(private readonly removal: AssetRemovalService) {}

  @Mutation(() => AssetModel, {
    description:
      'Deletes an asset, which can be restored until the purge deadline. A PENDING upload is cancelled; an asset in PROCESSING ' +
      'is deleted when processing ends. Repeating the call returns the deleted asset.',
  })
  async deleteAsset(@CurrentActor() actor: Actor, @Args('id', ASSET_ID) id: string): Promise<AssetModel> {
    return new AssetModel(await this.removal.delete(actor, id));
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
