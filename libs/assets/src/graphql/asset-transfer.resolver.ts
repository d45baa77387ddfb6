import { Args, ID, Mutation, Resolver } from '@nestjs/graphql';
import { type Actor, parseOwnerId } from '#libs/domain';
import { assertOperator, CurrentActor } from '#libs/identity/graphql';
import { AssetTransferService } from '../asset-transfer.service.js';
import { AssetModel } from './asset.model.js';

@Resolver()
export class AssetTransferResolver {
  constructor(private readonly transfers: AssetTransferService) {}

  @Mutation(() => AssetModel, {
    description:
      'Operators only: gives an asset to another owner. Its bytes and its count move from one quota to the other; QUOTA_EXCEEDED when ' +
      'the new owner has no room. Metadata and the access list stay, so the former owner keeps access only by a grant. Grants of ' +
      'features and the idempotencyKey of the upload are dropped. Download URLs handed out before may stop working. CONFLICT while ' +
      'the asset is PENDING or PROCESSING. Repeating the call returns the asset.',
  })
  async transferAsset(
    @CurrentActor() actor: Actor,
    @Args('id', { type: () => ID, description: 'Id of the asset.' }) id: string,
    @Args('ownerId', {
      type: () => ID,
      description: 'Owner id of the new owner, who may have no assets yet.',
    })
    ownerId: string,
  ): Promise<AssetModel> {
    assertOperator(actor);
    return new AssetModel(await this.transfers.transfer(actor, id, parseOwnerId(ownerId, ['ownerId'])));
  }
}
