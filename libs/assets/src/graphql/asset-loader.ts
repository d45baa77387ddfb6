import { Injectable } from '@nestjs/common';
import { BatchLoader, type GraphQLContext } from '#libs/graphql';
import { actorOf } from '#libs/identity/graphql';
import type { Asset, AssetDetails } from '../asset.js';
import { type AssetContents, mayHaveContents, NO_CONTENTS } from '../asset-contents.js';
import { AssetsService } from '../assets.service.js';
import { AssetModel } from './asset.model.js';

const NO_DETAILS: AssetDetails = { metadata: [], acl: [] };

/**
 * Loads assets and their parts for resolvers, those of all fields of one operation together.
 * @example
 * @Resolver(() => AlbumModel)
 * export class AlbumCoverResolver {
 *   constructor(private readonly assets: AssetLoader) {}
 *
 *   @ResolveField(() => AssetModel, { nullable: true, description: 'Null when the caller may not read it.' })
 *   cover(@Parent() { coverId }: AlbumModel, @Context() context: GraphQLContext): Promise<AssetModel | null> {
 *     return this.assets.load(context, coverId);
 *   }
 * }
 */
@Injectable()
export class AssetLoader {
  private readonly assets = new BatchLoader<string, Asset>(async (ids, context) => {
    const found = await this.service.findAll(await actorOf(context), ids);
    return new Map(found.map((asset) => [asset.id, asset]));
  });
  private readonly allDetails = new BatchLoader<string, AssetDetails>((ids) => this.service.details(ids));
  private readonly allContents = new BatchLoader<string, AssetContents>((ids) => this.service.contents(ids));

  constructor(private readonly service: AssetsService) {}

  /**
   * An asset, read in one statement with all assets that the operation loads at this time. Assets are read anew for each event
   * of a subscription.
   * @returns null when the asset does not exist or the caller may not read it
   * @throws StowageError unavailable
   */
  async load(context: GraphQLContext, id: string): Promise<AssetModel | null> {
    const asset = await this.assets.load(context, id);
    return asset === undefined ? null : new AssetModel(asset);
  }

  /** Metadata and access list of an asset that the caller may read. */
  async details(context: GraphQLContext, { id, details }: Asset): Promise<AssetDetails> {
    return details ?? (await this.allDetails.load(context, id)) ?? NO_DETAILS;
  }

  /** Properties, variants and scan result of an asset that the caller may read; empty for statuses without contents. */
  async contents(context: GraphQLContext, asset: Asset): Promise<AssetContents> {
    return (mayHaveContents(asset) && (await this.allContents.load(context, asset.id))) || NO_CONTENTS;
  }
}
