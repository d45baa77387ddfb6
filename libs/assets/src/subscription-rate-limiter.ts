import { KeyedRateLimiter } from '#libs/runtime';

/**
 * Limits the subscriptions of each owner, by owner id: each message of a subscriber and each state sent counts once. The app
 * provides the instance.
 */
export class SubscriptionRateLimiter extends KeyedRateLimiter<bigint> {}
