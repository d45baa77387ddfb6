import { Args, ArgsType, Field, ID, ResolveField, Resolver } from '@nestjs/graphql';
import { type AssetStatus, parseOwnerId } from '#libs/domain';
import { connectionOf, cursorsOf, ForwardPageArgs, parsePage } from '#libs/graphql';
import { AdminModel } from '#libs/identity/graphql';
import { AdminAssetsRepository } from '../admin-assets.repository.js';
import { AssetConnectionModel, AssetModel } from './asset.model.js';
import { AssetStatusEnum } from './enums.js';

@ArgsType()
class AdminAssetsArgs extends ForwardPageArgs {
  @Field(() => ID, { nullable: true, description: 'Only assets of this owner.' })
  ownerId?: string | null;

  @Field(() => [AssetStatusEnum], {
    nullable: true,
    description: 'Only assets in one of these statuses; all statuses when omitted.',
  })
  status?: AssetStatus[] | null;
}

@Resolver(() => AdminModel)
export class AdminAssetsResolver {
  constructor(private readonly assets: AdminAssetsRepository) {}

  @ResolveField(() => AssetConnectionModel, {
    name: 'assets',
    description:
      'Assets of one owner or of all owners, newest first, in every status including DELETED. Without ownerId a page examines at ' +
      'most 2,000 assets, so it may be shorter than requested, or empty, although the list continues: pageInfo tells whether it ' +
      'does, and from which cursor. A cursor is valid only with the ownerId and status of its page.',
  })
  async list(@Args() { first, after, ownerId, status }: AdminAssetsArgs): Promise<AssetConnectionModel> {
    const page = parsePage({ first, after });
    const owner = ownerId == null ? null : parseOwnerId(ownerId, ['ownerId']);
    const statuses = status == null ? null : [...new Set(status)].sort();
    const cursors = cursorsOf(`admin assets ${owner ?? 'all'} ${statuses?.join() ?? 'all'}`, {
      createdAt: 'instant',
      id: 'uuid',
    });
    const { found, stoppedAt } = await this.assets.read({
      ownerId: owner,
      statuses,
      after: cursors.positionOf(page),
      limit: page.size + 1,
    });
    const list = connectionOf(found, page, cursors.encode, (asset) => new AssetModel(asset));
    if (stoppedAt !== null) {
      // Lists of all owners are ordered by the id alone.
      const endCursor = cursors.encode({ createdAt: new Date(0), id: stoppedAt });
      Object.assign(list.pageInfo, { hasNextPage: true, endCursor });
    }
    return list;
  }
}
