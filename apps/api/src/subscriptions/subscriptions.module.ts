import { type DynamicModule, Global, Module } from '@nestjs/common';
import { SubscriptionRateLimiter } from '#libs/assets/graphql';
import { SUBSCRIPTION_OPTIONS, type SubscriptionOptions, SubscriptionServer } from './subscription-server.js';

@Global()
@Module({})
export class SubscriptionsModule {
  /** @param workPerSecond messages and states of each owner */
  static forRoot({
    workPerSecond,
    ...options
  }: Omit<SubscriptionOptions, 'turns'> & { readonly workPerSecond: number }): DynamicModule {
    const turns = new SubscriptionRateLimiter(workPerSecond);
    const useValue: SubscriptionOptions = { ...options, turns };
    return {
      module: SubscriptionsModule,
      providers: [
        { provide: SUBSCRIPTION_OPTIONS, useValue },
        { provide: SubscriptionRateLimiter, useValue: turns },
        SubscriptionServer,
      ],
      exports: [SubscriptionServer, SubscriptionRateLimiter],
    };
  }
}
