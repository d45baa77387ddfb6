import { Context, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import type { Actor } from '#libs/domain';
import { type GraphQLContext, MaxItems } from '#libs/graphql';
import { CurrentActor } from '#libs/identity/graphql';
import { AssetModel } from './asset.model.js';
import { AssetPropertiesModel, VariantModel } from './asset-contents.model.js';
import { AssetLoader } from './asset-loader.js';

/** Variants of current and earlier profiles. */
const MAX_VARIANTS = 100;

/** Fields of an asset that hold results of processing its bytes. */
@Resolver(() => AssetModel)
export class AssetContentsResolver {
  constructor(private readonly assets: AssetLoader) {}

  @ResolveField(() => AssetPropertiesModel, {
    nullable: true,
    description: 'Properties read from the bytes; null before READY, and for files that are not inspected.',
  })
  async properties(
    @Parent() { asset }: AssetModel,
    @CurrentActor() actor: Actor,
    @Context() context: GraphQLContext,
  ): Promise<AssetPropertiesModel | null> {
    const { properties } = await this.assets.contents(context, asset);
    const isOwner = actor.ownerId === asset.ownerId;
    return properties && new AssetPropertiesModel(properties, { isOwner, isAdmin: actor.isAdmin });
  }

  @MaxItems(MAX_VARIANTS, { counted: 1 })
  @ResolveField(() => [VariantModel], {
    description: 'Smaller renditions of a READY asset, ordered by width and then name.',
  })
  async variants(
    @Parent() { asset }: AssetModel,
    @Context() context: GraphQLContext,
  ): Promise<VariantModel[]> {
    const { variants } = await this.assets.contents(context, asset);
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
    return (await this.assets.contents(context, asset)).variantsReason;
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
    return actor.isAdmin ? (await this.assets.contents(context, asset)).scannedBy : null;
  }
}
