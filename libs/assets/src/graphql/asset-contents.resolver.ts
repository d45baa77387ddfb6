import { Context, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import type { Actor } from '#libs/domain';
import type { GraphQLContext } from '#libs/graphql';
import { CurrentActor } from '#libs/identity/graphql';
import { AssetsService } from '../assets.service.js';
import { AssetModel } from './asset.model.js';
import { AssetPropertiesModel, VariantModel } from './asset-contents.model.js';
import { contentsOf } from './asset-details.js';

/** Fields of an asset that hold results of processing its bytes. */
@Resolver(() => AssetModel)
export class AssetContentsResolver {
  constructor(private readonly assets: AssetsService) {}

  @ResolveField(() => AssetPropertiesModel, {
    nullable: true,
    description: 'Properties read from the bytes; null before READY, and for files that are not inspected.',
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
    description: 'Smaller renditions of a READY asset, ordered by width and then name.',
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
      'Why a READY picture has no variants: DECODER_MISSING (the service has no decoder for its format, such as HEIC, SVG ' +
      'and raw photographs), UNSUPPORTED_LAYOUT (the decoder does not support this layout or coding), TOO_MANY_PIXELS ' +
      '(decoding would need too much memory), TOO_LARGE (the file is too large to decode). Null when it has variants or ' +
      'gets none.',
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
      'Virus scanner and signatures that found the bytes clean. Null before READY, for a file that could not be scanned but ' +
      'whose type is stored nevertheless, and for callers who are not operators.',
  })
  async scannedBy(
    @Parent() { asset }: AssetModel,
    @CurrentActor() actor: Actor,
    @Context() context: GraphQLContext,
  ): Promise<string | null> {
    return actor.isAdmin ? (await contentsOf(asset, this.assets, context)).scannedBy : null;
  }
}
