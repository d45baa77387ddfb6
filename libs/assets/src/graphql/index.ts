import { Module } from '@nestjs/common';
import { AccessModule } from '#libs/access';
import { FeedModule } from '#libs/events';
import { AssetsModule } from '../assets.module.js';
import { AssetChangesService } from '../asset-changes.service.js';
import { AdminAssetsResolver } from './admin-assets.resolver.js';
import { AccessExplanationResolver } from './access-explanation.resolver.js';
import { AssetChangesResolver } from './asset-changes.resolver.js';
import { AssetContentsResolver } from './asset-contents.resolver.js';
import { AssetGrantsResolver } from './asset-grants.resolver.js';
import { AssetLoader } from './asset-loader.js';
import { AssetRemovalResolver } from './asset-removal.resolver.js';
import { AssetUpdatesResolver } from './asset-updates.resolver.js';
import { AssetTransferResolver } from './asset-transfer.resolver.js';
import { AssetsResolver } from './assets.resolver.js';
import { SubscriptionRateLimiter } from '../subscription-rate-limiter.js';

export * from './asset-loader.js';
export { DELETE_BATCH } from './asset-removal.resolver.js';
export * from './asset-updates.input.js';
export { UPDATE_BATCH } from './asset-updates.resolver.js';
export * from './asset.model.js';
export * from './asset-contents.model.js';
export * from './enums.js';
export * from '../subscription-rate-limiter.js';

@Module({
  imports: [AccessModule, AssetsModule, FeedModule],
  providers: [
    AdminAssetsResolver,
    AssetLoader,
    AssetsResolver,
    AssetContentsResolver,
    AssetRemovalResolver,
    AssetUpdatesResolver,
    AssetTransferResolver,
    AssetGrantsResolver,
    AccessExplanationResolver,
    AssetChangesService,
    AssetChangesResolver,
    SubscriptionRateLimiter,
  ],
  exports: [AssetLoader, SubscriptionRateLimiter],
})
export class AssetsGraphQLModule {}
