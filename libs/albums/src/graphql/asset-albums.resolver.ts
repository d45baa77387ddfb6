import { Context, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { AssetModel } from '#libs/assets/graphql';
import { BatchLoader, type GraphQLContext, MaxItems } from '#libs/graphql';
import { actorOf } from '#libs/identity/graphql';
import type { Album } from '../album.js';
import { AlbumsRepository, MAX_ALBUMS_OF_ASSET } from '../albums.repository.js';
import { AlbumModel } from './album.model.js';

/** Adds a field to the assets of the service. */
@Resolver(() => AssetModel)
export class AssetAlbumsResolver {
  private readonly loader = new BatchLoader<string, Album[]>(async (assetIds, context) =>
    this.repository.ofAssets(await actorOf(context), assetIds),
  );

  constructor(private readonly repository: AlbumsRepository) {}

  @MaxItems(MAX_ALBUMS_OF_ASSET)
  @ResolveField(() => [AlbumModel], {
    description: 'Albums with this asset that the caller may see, oldest first, at most 100.',
  })
  async albums(@Parent() { id }: AssetModel, @Context() context: GraphQLContext): Promise<AlbumModel[]> {
    const albums = (await this.loader.load(context, id)) ?? [];
    return albums.map((album) => new AlbumModel(album));
  }
}
