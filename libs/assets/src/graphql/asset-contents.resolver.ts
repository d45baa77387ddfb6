import { Context, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import type { Actor } from '#libs/domain';
import type { GraphQLContext } from '#libs/graphql';
import { CurrentActor } from '#libs/identity/graphql';
import { AssetsService } from '../assets.service.js';
import { AssetModel } from './asset.model.js';
import { AssetPropertiesModel, VariantModel } from './asset-contents.model.js';
import { contentsOf } from './asset-details.js';

/** What processing found in the bytes and made of them, for whoever may read the asset. */
@Resolver(() => AssetModel)
export class AssetContentsResolver {
  constructor(private readonly assets: AssetsService) {}

  @ResolveField(() => AssetPropertiesModel, {
    nullable: true,
    description: 'What was found in the bytes; null before READY, and where nothing was looked for.',
  })
  async properties(
    @Parent() { asset }: AssetModel,
    @CurrentActor() actor: Actor,
    @Context() context: GraphQLContext,
  ): Promise<AssetPropertiesModel | null> {
    const { properties } = await contentsOf(asset, this.assets, context);
    return properties && new AssetPropertiesModel(properties, actor.ownerId === asset.ownerId);
  }

  @ResolveField(() => [VariantModel], {
    description: 'Smaller renditions of a READY asset, by width and then name.',
  })
  async variants(
    @Parent() { asset }: AssetModel,
    @Context() context: GraphQLContext,
  ): Promise<VariantModel[]> {
    const { variants } = await contentsOf(asset, this.assets, context);
    return variants.map((variant) => new VariantModel(asset, variant));
  }

  @ResolveField(() => String, {
    nullable: true,
    description:
      'Why a READY picture has no variants: DECODER_MISSING (its format is not decoded here, such as HEIC, SVG and raw photographs), ' +
      'UNSUPPORTED_LAYOUT (the decoder of its format does not read this layout or coding), TOO_MANY_PIXELS (decoding it would take ' +
      'too much memory), TOO_LARGE (the file is larger than what is opened here). Null when it has variants or gets none.',
  })
  async variantsReason(
    @Parent() { asset }: AssetModel,
    @Context() context: GraphQLContext,
  ): Promise<string | null> {
    return (await contentsOf(asset, this.assets, context)).variantsReason;
  }

  @ResolveField(() => String, {
    nullable: true,
    description:
      'Which virus scanner, with which signatures, found the bytes clean. Null before READY, for a file that it could ' +
      'not look into and whose type is stored all the same, and for callers who are not operators.',
  })
  async scannedBy(
    @Parent() { asset }: AssetModel,
    @CurrentActor() actor: Actor,
    @Context() context: GraphQLContext,
  ): Promise<string | null> {
    return actor.isAdmin ? (await contentsOf(asset, this.assets, context)).scannedBy : null;
  }
}
