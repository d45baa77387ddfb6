import DataLoader from 'dataloader';
import type { GraphQLContext } from '#libs/graphql';
import type { Asset, AssetDetails } from '../asset.js';
import { type AssetContents, mayHaveContents, NO_CONTENTS } from '../asset-contents.js';
import type { AssetsService } from '../assets.service.js';

/** Returns a loader of details per asset that reads those of all assets of one operation in one batch. */
function batched<Found>(
  read: (assets: AssetsService, ids: readonly string[]) => Promise<Map<string, Found>>,
  none: Found,
) {
  const loaders = new WeakMap<object, DataLoader<string, Found>>();
  return ({ id }: Asset, assets: AssetsService, { req }: GraphQLContext): Promise<Found> => {
    let loader = loaders.get(req);
    if (loader === undefined) {
      loader = new DataLoader(
        async (ids) => {
          const found = await read(assets, [...new Set(ids)]);
          return ids.map((each) => found.get(each) ?? none);
        },
        // A later mutation of the same operation may have changed the details.
        { cache: false },
      );
      loaders.set(req, loader);
    }
    return loader.load(id);
  };
}

const readDetails = batched<AssetDetails>((assets, ids) => assets.details(ids), { metadata: [], acl: [] });
const readContents = batched<AssetContents>((assets, ids) => assets.contents(ids), NO_CONTENTS);

/** Metadata and access list of an asset. */
export const detailsOf = async (asset: Asset, assets: AssetsService, context: GraphQLContext) =>
  asset.details ?? readDetails(asset, assets, context);

/** Properties, variants and scan result of an asset; empty for statuses without contents. */
export const contentsOf = async (asset: Asset, assets: AssetsService, context: GraphQLContext) =>
  mayHaveContents(asset) ? readContents(asset, assets, context) : NO_CONTENTS;
