import { type DynamicModule, Global, Module } from '@nestjs/common';
import { SubscriptionRateLimiter } from '#libs/assets/graphql';
import { SUBSCRIPTION_OPTIONS, type SubscriptionOptions, SubscriptionServer } from './subscription-server.js';

@Global()
@Module({})
export class SubscriptionsModule {
  /** @param workPerSecond messages handled and states sent per second for each owner */
  static forRoot({
    workPerSecond,
    ...options
  }: Omit<SubscriptionOptions, 'rateLimiter'> & { readonly workPerSecond: number }): DynamicModule {
    const rateLimiter = new SubscriptionRateLimiter(workPerSecond);
    const useValue: SubscriptionOptions = { ...options, rateLimiter };
    return {
      module: SubscriptionsModule,
      providers: [
        { provide: SUBSCRIPTION_OPTIONS, useValue },
        { provide: SubscriptionRateLimiter, useValue: rateLimiter },
        SubscriptionServer,
      ],
      exports: [SubscriptionServer, SubscriptionRateLimiter],
    };
  }
}
