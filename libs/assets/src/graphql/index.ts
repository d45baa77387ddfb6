import { Module } from '@nestjs/common';
import { FeedModule } from '#libs/events';
import { AssetChangesService } from '../asset-changes.service.js';
import { AssetChangesResolver } from './asset-changes.resolver.js';
import { AssetContentsResolver } from './asset-contents.resolver.js';
import { AssetRemovalResolver } from './asset-removal.resolver.js';
import { AssetsResolver } from './assets.resolver.js';

export * from './asset.model.js';
export * from './asset-contents.model.js';
export * from './enums.js';
export { SubscriptionRateLimiter } from '../subscription-rate-limiter.js';

/** Requires a provider of {@link SubscriptionRateLimiter} from the app. */
@Module({
  imports: [FeedModule],
  providers: [
    AssetsResolver,
    AssetContentsResolver,
    AssetRemovalResolver,
    AssetChangesService,
    AssetChangesResolver,
  ],
})
export class AssetsGraphQLModule {}
