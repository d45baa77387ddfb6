export * from './asset.js';
export { type AssetContents, propertyColumns, type Variant } from './asset-contents.js';
export type {
  AssetList,
  AssetListing,
  ListedAsset,
  ListPosition,
  PropertyFilter,
} from './asset-lists.repository.js';
export * from './asset-batch-removal.service.js';
export type { AssetUpdate } from './asset-draft.js';
export * from './asset-grants.service.js';
export type { AssetFilter } from './asset-filter.js';
export type { AssetListing } from './asset-list-streams.js';
export type { AssetList, ListedAsset } from './asset-lists.repository.js';
export * from './asset-jobs.service.js';
export * from './asset-removal.service.js';
export { type AssetOutcome, AssetUpdatesService } from './asset-updates.service.js';
export * from './assets.config.js';
export type { Claim, Claimed } from './asset-states.repository.js';
export * from './assets.module.js';
export * from './assets.service.js';
export { type DueAsset, DueAssetsRepository } from './due-assets.repository.js';
export * from './incoming-objects.service.js';
export * from './incoming-sessions.service.js';
export * from './asset-transfer.service.js';
export * from './asset-transitions.service.js';
