import { Module } from '@nestjs/common';
import { AssetsGraphQLModule } from '#libs/assets/graphql';
import { IdentityModule } from '#libs/identity';
import { SubscriptionServer } from './subscription-server.js';

@Module({
  imports: [AssetsGraphQLModule, IdentityModule],
  providers: [SubscriptionServer],
  exports: [SubscriptionServer],
})
export class SubscriptionsModule {}
