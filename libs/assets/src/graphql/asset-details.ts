import DataLoader from 'dataloader';
import type { GraphQLContext } from '#libs/graphql-edge';
import type { Asset, AssetDetails } from '../asset.js';
import type { Assets } from '../assets.service.js';

type Loader = DataLoader<string, AssetDetails>;
const loaders = new WeakMap<object, Loader>();

/** Metadata and access list of an asset; those of all assets of one operation are read together. */
export async function detailsOf(
  asset: Asset,
  assets: Assets,
  { req }: GraphQLContext,
): Promise<AssetDetails> {
  if (asset.details !== undefined) return asset.details;
  let loader = loaders.get(req);
  if (loader === undefined) {
    loader = new DataLoader(
      async (ids) => {
        const found = await assets.details(ids);
        return ids.map((id) => found.get(id) ?? { metadata: [], acl: [] });
      },
      // Another mutation of the same operation may have changed them.
      { cache: false },
    );
    loaders.set(req, loader);
  }
  return loader.load(asset.id);
}
