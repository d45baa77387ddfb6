import DataLoader from 'dataloader';
import type { GraphQLContext } from './context.js';

/** Keys that one call reads at most. */
const MAX_KEYS = 1_000;

/**
 * Combines the values that the fields of one operation load into batches of up to 1,000 keys. Keeps no values: a later mutation
 * of the operation may change them, and a subscription reads them anew for each event.
 *
 * @example
 * @Resolver(() => AssetModel)
 * export class AssetAlbumsResolver {
 *   private readonly loader = new BatchLoader<string, AlbumModel[]>((assetIds) => this.albums.byAsset(assetIds));
 *
 *   constructor(private readonly albums: AlbumsService) {}
 *
 *   @MaxItems(50)
 *   @ResolveField(() => [AlbumModel], { description: 'Albums of the caller with this asset.' })
 *   async albums(@Parent() { id }: AssetModel, @Context() context: GraphQLContext): Promise<AlbumModel[]> {
 *     return (await this.loader.load(context, id)) ?? [];
 *   }
 * }
 */
export class BatchLoader<Key, Value> {
  /** By request, because Nest passes copies of the context. */
  private readonly loaders = new WeakMap<GraphQLContext['req'], DataLoader<Key, Value | undefined>>();

  constructor(
    /** Reads the values of distinct keys. A key without a value is left out. Must apply the access of the caller. */
    private readonly read: (
      keys: readonly Key[],
      context: GraphQLContext,
    ) => Promise<ReadonlyMap<Key, Value>>,
  ) {}

  /** Loads the value of a key; undefined if there is none. @throws the error of its batch */
  load(context: GraphQLContext, key: Key): Promise<Value | undefined> {
    let loader = this.loaders.get(context.req);
    if (loader === undefined) {
      loader = new DataLoader(
        async (keys) => {
          const found = await this.read([...new Set(keys)], context);
          return keys.map((each) => found.get(each));
        },
        { cache: false, maxBatchSize: MAX_KEYS },
      );
      this.loaders.set(context.req, loader);
    }
    return loader.load(key);
  }
}
