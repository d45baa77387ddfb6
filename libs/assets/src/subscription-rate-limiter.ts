import { Injectable } from '@nestjs/common';
import { KeyedRateLimiter, Variable, Whole } from '#libs/runtime';

export class SubscriptionRateConfig {
  /** Messages handled and states sent per second for all sockets of one owner. */
  @Variable('SUBSCRIPTION_WORK_PER_SECOND')
  @Whole(1)
  readonly perSecond: number = 200;
}

/**
 * Limits the subscriptions of each owner, by owner id: each message of a subscriber and each state sent counts once.
 */
@Injectable()
export class SubscriptionRateLimiter extends KeyedRateLimiter<bigint> {
  constructor({ perSecond }: SubscriptionRateConfig) {
    super(perSecond);
  }
}
