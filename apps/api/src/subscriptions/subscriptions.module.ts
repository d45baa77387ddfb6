import { type DynamicModule, Global, Module } from '@nestjs/common';
import { SUBSCRIPTION_OPTIONS, type SubscriptionOptions, SubscriptionServer } from './subscription-server.js';

@Global()
@Module({})
export class SubscriptionsModule {
  static forRoot(options: SubscriptionOptions): DynamicModule {
    return {
      module: SubscriptionsModule,
      providers: [{ provide: SUBSCRIPTION_OPTIONS, useValue: options }, SubscriptionServer],
      exports: [SubscriptionServer],
    };
  }
}
