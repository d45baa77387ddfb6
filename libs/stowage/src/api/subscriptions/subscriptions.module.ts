import { Module } from '@nestjs/common';
import { AssetsGraphQLModule } from '#libs/assets/graphql';
import { IdentityModule } from '#libs/identity';
import { OwnerSockets } from './owner-sockets.js';
import { SubscriptionServer } from './subscription-server.js';

@Module({
  imports: [AssetsGraphQLModule, IdentityModule],
  providers: [OwnerSockets, SubscriptionServer],
  exports: [SubscriptionServer],
})
export class SubscriptionsModule {}
