import { KeyedRateLimiter } from '#libs/runtime';

/** The turns of each owner, by id: one for each message of a subscriber and for each state that is sent. The app brings it. */
export class SubscriptionRateLimiter extends KeyedRateLimiter<bigint> {}
