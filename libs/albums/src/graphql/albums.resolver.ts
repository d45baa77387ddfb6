import { Args, Context, ID, Int, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { AssetLoader, AssetModel } from '#libs/assets/graphql';
import type { Actor } from '#libs/domain';
import {
  BatchLoader,
  connectionOf,
  cursorsOf,
  type GraphQLContext,
  MaxItems,
  PageArgs,
  type PageRequest,
  parsePage,
} from '#libs/graphql';
import { CurrentActor } from '#libs/identity/graphql';
import {
  AlbumsRepository,
  type Item,
  type ItemPage,
  type Listing,
  MAX_SHARES,
} from '../albums.repository.js';
import { AlbumsService } from '../albums.service.js';
import {
  AlbumConnectionModel,
  AlbumItemConnectionModel,
  AlbumItemModel,
  AlbumModel,
  AlbumsArgs,
  AlbumShareModel,
} from './album.model.js';

const ALBUM_CURSORS = cursorsOf('albums, newest first', { id: 'bigint' });
const ITEM_CURSORS = cursorsOf('items of an album, newest first', { position: 'bigint' });

/** One row more than the page, see `connectionOf`. */
const listingOf = ({ backward, size }: PageRequest, after: bigint | undefined): Listing => ({
  order: backward ? 'asc' : 'desc',
  after: after ?? null,
  limit: size + 1,
});

@Resolver(() => AlbumModel)
export class AlbumsResolver {
  private readonly counts = new BatchLoader<bigint, number>((ids) => this.albums.countItems(ids));
  private readonly pages = new BatchLoader<ItemPage, Item[]>((pages) => this.albums.listItems(pages));
  private readonly allShares = new BatchLoader<bigint, AlbumShareModel[]>((ids) => this.albums.shares(ids));

  constructor(
    private readonly albums: AlbumsRepository,
    private readonly service: AlbumsService,
    private readonly assets: AssetLoader,
  ) {}

  @Query(() => AlbumModel, {
    nullable: true,
    description: 'One album; null when it does not exist or is not shared with the caller.',
  })
  async album(
    @CurrentActor() actor: Actor,
    @Args('id', { type: () => ID, description: 'Id of the album.' }) id: string,
  ): Promise<AlbumModel | null> {
    const album = await this.service.find(actor, id);
    return album === null ? null : new AlbumModel(album);
  }

  @Query(() => AlbumConnectionModel, { name: 'albums', description: 'Albums, newest first.' })
  async list(@CurrentActor() actor: Actor, @Args() args: AlbumsArgs): Promise<AlbumConnectionModel> {
    const page = parsePage(args);
    const listing = listingOf(page, ALBUM_CURSORS.positionOf(page)?.id);
    const rows = await (args.scope === 'OWN'
      ? this.albums.listOwn(actor, listing)
      : this.albums.listShared(actor, listing));
    return connectionOf(rows, page, ALBUM_CURSORS.encode, (album) => new AlbumModel(album));
  }

  @ResolveField(() => Int, { description: 'Number of assets in the album.' })
  async itemCount(@Parent() { album }: AlbumModel, @Context() context: GraphQLContext): Promise<number> {
    return (await this.counts.load(context, album.id)) ?? 0;
  }

  @ResolveField(() => AssetModel, {
    nullable: true,
    description: 'An asset of the album; null when the album is empty or the caller may not read the asset.',
  })
  async cover(
    @Parent() { album }: AlbumModel,
    @Context() context: GraphQLContext,
  ): Promise<AssetModel | null> {
    return album.coverAssetId === null ? null : this.assets.load(context, album.coverAssetId);
  }

  @ResolveField(() => AlbumItemConnectionModel, { description: 'Assets of the album, last added first.' })
  async items(
    @Parent() { album }: AlbumModel,
    @Args() args: PageArgs,
    @Context() context: GraphQLContext,
  ): Promise<AlbumItemConnectionModel> {
    const page = parsePage(args);
    const listing = listingOf(page, ITEM_CURSORS.positionOf(page)?.position);
    const rows = await this.pages.load(context, { albumId: album.id, ...listing });
    return connectionOf(rows ?? [], page, ITEM_CURSORS.encode, (item) => new AlbumItemModel(item));
  }

  @MaxItems(MAX_SHARES)
  @ResolveField(() => [AlbumShareModel], {
    description: 'Visible to the owner and to operators; empty for others.',
  })
  async shares(
    @Parent() { album }: AlbumModel,
    @CurrentActor() actor: Actor,
    @Context() context: GraphQLContext,
  ): Promise<AlbumShareModel[]> {
    if (!actor.isAdmin && actor.ownerId !== album.ownerId) return [];
    return (await this.allShares.load(context, album.id)) ?? [];
  }
}

@Resolver(() => AlbumItemModel)
export class AlbumItemsResolver {
  constructor(private readonly assets: AssetLoader) {}

  @ResolveField(() => AssetModel, {
    nullable: true,
    description: 'The asset; null when it was purged, or the caller may not read it any more.',
  })
  asset(
    @Parent() { assetId }: AlbumItemModel,
    @Context() context: GraphQLContext,
  ): Promise<AssetModel | null> {
    return this.assets.load(context, assetId);
  }
}
