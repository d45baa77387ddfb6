import { Args, ID, Mutation, Resolver } from '@nestjs/graphql';
import type { Actor } from '#libs/domain';
import { CurrentActor } from '#libs/identity/graphql';
import { AssetRemovalService } from '../asset-removal.service.js';
import { AssetModel } from './asset.model.js';

const WHICH = { type: () => ID, description: 'Which asset.' };

@Resolver()
export class AssetRemovalResolver {
  constructor(private readonly removal: AssetRemovalService) {}

  @Mutation(() => AssetModel, {
    description:
      'Recoverable until the purge deadline. An upload that waits for bytes is called off; what is PROCESSING is deleted ' +
      'when that ends. A repeat answers the deleted asset.',
  })
  async deleteAsset(@CurrentActor() actor: Actor, @Args('id', WHICH) id: string): Promise<AssetModel> {
    return new AssetModel(await this.removal.delete(actor, id));
  }

  @Mutation(() => AssetModel, {
    description:
      'Brings a deleted asset back that was READY; CONFLICT for others. A repeat answers the asset.',
  })
  async restoreAsset(@CurrentActor() actor: Actor, @Args('id', WHICH) id: string): Promise<AssetModel> {
    return new AssetModel(await this.removal.restore(actor, id));
  }

  @Mutation(() => ID, {
    description:
      'At once and for good: record, variants, and the bytes unless another asset shares them. CONFLICT while PROCESSING; ' +
      'a repeat is NOT_FOUND.',
  })
  async purgeAsset(@CurrentActor() actor: Actor, @Args('id', WHICH) id: string): Promise<string> {
    await this.removal.purge(actor, id);
    return id;
  }
}
