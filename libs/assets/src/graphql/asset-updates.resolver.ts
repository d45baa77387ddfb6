import { Args, Mutation, Resolver } from '@nestjs/graphql';
import type { Actor, StowageError } from '#libs/domain';
import { MaxItems, RefusedItems } from '#libs/graphql';
import { CurrentActor } from '#libs/identity/graphql';
import { AssetUpdatesService, MAX_ITEMS } from '../asset-updates.service.js';
import { AssetOutcomeModel } from './asset-outcome.model.js';
import { UpdateAssetInput } from './asset-updates.input.js';
import { AssetModel } from './asset.model.js';

/** Lets the API refuse invalid items of {@link AssetUpdatesResolver.updateAssets} one by one. */
export const UPDATE_BATCH = { field: 'updateAssets', argument: 'inputs', most: MAX_ITEMS } as const;

@Resolver()
export class AssetUpdatesResolver {
  constructor(private readonly updates: AssetUpdatesService) {}

  @Mutation(() => AssetModel, {
    description:
      'Changes the file name and metadata of an asset, which needs the permission WRITE. Possible in every status but DELETED ' +
      '(CONFLICT), also during PROCESSING. Repeating the call changes nothing and returns the asset.',
  })
  async updateAsset(
    @CurrentActor() actor: Actor,
    @Args('input', { description: 'The asset and its changes.' }) input: UpdateAssetInput,
  ): Promise<AssetModel> {
    return new AssetModel(await this.updates.update(actor, input));
  }

  @MaxItems(MAX_ITEMS)
  @Mutation(() => [AssetOutcomeModel], {
    description:
      'Changes 1 to 100 assets like updateAsset, each accepted or refused independently. Outcomes are in the order of the inputs. ' +
      'Several inputs for one asset are applied in order. An outage fails the call as a whole. Repeating the call returns the same ' +
      'outcomes.',
  })
  async updateAssets(
    @CurrentActor() actor: Actor,
    @Args('inputs', { type: () => [UpdateAssetInput], description: '1 to 100 assets and their changes.' })
    inputs: UpdateAssetInput[],
    @RefusedItems() refused: ReadonlyMap<number, StowageError>,
  ): Promise<AssetOutcomeModel[]> {
    const updates = inputs.map((input, index) => refused.get(index) ?? input);
    const outcomes = await this.updates.updateAll(actor, updates);
    return outcomes.map((outcome, index) => new AssetOutcomeModel(index, outcome));
  }
}
