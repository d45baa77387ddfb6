import { Args, Context, ID, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { MAX_FEATURE_GRANTS, MAX_GRANTS, permissionsOf } from '#libs/access';
import { type Actor, MAX_METADATA, type Permission, PERMISSIONS } from '#libs/domain';
import {
  connectionOf,
  type GraphQLContext,
  MaxItems,
  type PageInfo,
  type PageRequest,
  parsePage,
} from '#libs/graphql';
import { CurrentActor } from '#libs/identity/graphql';
import { mayGrant } from '../asset-grants.service.js';
import type { ListedAsset } from '../asset-lists.repository.js';
import { AssetsService } from '../assets.service.js';
import { parseListing } from './asset-listing.js';
import { AssetLoader } from './asset-loader.js';
import { AclEntryModel, AssetConnectionModel, AssetModel, MetadataEntryModel } from './asset.model.js';
import { AssetsArgs } from './assets.args.js';
import { PermissionEnum, StorageClassEnum } from './enums.js';

@Resolver(() => AssetModel)
export class AssetsResolver {
  constructor(
    private readonly assets: AssetsService,
    private readonly loader: AssetLoader,
  ) {}

  @Query(() => AssetModel, {
    nullable: true,
    description:
      'One asset; null when it does not exist or the caller may not read it. A DELETED asset is found by its owner, by operators, ' +
      'and by callers with DELETE.',
  })
  async asset(
    @CurrentActor() actor: Actor,
    @Args('id', { type: () => ID, description: 'Id of the asset.' }) id: string,
  ): Promise<AssetModel | null> {
    const asset = await this.assets.find(actor, id);
    return asset === null ? null : new AssetModel(asset);
  }

  @Query(() => AssetConnectionModel, {
    name: 'assets',
    description:
      'Assets that the caller may read. A page has at most 100 assets, and 20 when neither first nor last is given; giving ' +
      'both is BAD_USER_INPUT. A page examines at most 2000 entries, so with a filter, or with many groups, it may be shorter ' +
      'than requested, or empty, although the list continues: pageInfo tells whether it does, and from which cursor. A cursor ' +
      'is valid in both directions for the scope, filter and order that it came from.',
  })
  async list(@CurrentActor() actor: Actor, @Args() args: AssetsArgs): Promise<AssetConnectionModel> {
    const page = parsePage(args);
    const { listing, cursors } = parseListing(actor, args, page);
    const { found, stoppedAt } = await this.assets.list(actor, listing);
    const cursorOf = ({ position }: ListedAsset) => cursors.encode(position);
    const list = connectionOf(found, page, cursorOf, ({ asset }) => new AssetModel(asset));
    if (stoppedAt !== null)
      Object.assign(list.pageInfo, continuedFrom(list, page, cursors.encode(stoppedAt)));
    return list;
  }

  @MaxItems(MAX_METADATA, { counted: 1 })
  @ResolveField(() => [MetadataEntryModel], {
    description: 'Metadata that the owner attached, ordered by key.',
  })
  async metadata(
    @Parent() { asset }: AssetModel,
    @Context() context: GraphQLContext,
  ): Promise<MetadataEntryModel[]> {
    return [...(await this.loader.details(context, asset)).metadata];
  }

  @MaxItems(MAX_GRANTS + MAX_FEATURE_GRANTS, { counted: 1 })
  @ResolveField(() => [AclEntryModel], {
    description: 'Visible to the owner and to operators; empty for others. At most 250 entries.',
  })
  async acl(
    @Parent() { asset }: AssetModel,
    @CurrentActor() actor: Actor,
    @Context() context: GraphQLContext,
  ): Promise<AclEntryModel[]> {
    if (!mayGrant(actor, asset)) return [];
    return [...(await this.loader.details(context, asset)).acl];
  }

  @MaxItems(PERMISSIONS.length)
  @ResolveField(() => [PermissionEnum], { description: 'Permissions of the caller on this asset.' })
  viewerPermissions(@Parent() { asset }: AssetModel, @CurrentActor() actor: Actor): readonly Permission[] {
    return permissionsOf(actor, asset);
  }

  @ResolveField(() => StorageClassEnum, {
    nullable: true,
    description: 'Null before READY, and for callers who are not operators.',
  })
  storageClass(): keyof typeof StorageClassEnum | null {
    return null;
  }
}

/**
 * After a page that ended early, the next one starts behind the last examined entry. If the page is empty, that entry is also where
 * the list continues in the other direction.
 */
function continuedFrom(
  { nodes }: AssetConnectionModel,
  { backward }: PageRequest,
  cursor: string,
): Partial<PageInfo> {
  const end = backward ? { startCursor: cursor } : { endCursor: cursor };
  return {
    ...(nodes.length === 0 ? { startCursor: cursor, endCursor: cursor } : end),
    ...(backward ? { hasPreviousPage: true } : { hasNextPage: true }),
  };
}
