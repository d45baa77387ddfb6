import { Injectable } from '@nestjs/common';
import { StowageError } from '#libs/domain';
import { Variable, Whole } from '#libs/runtime';

export class RateLimitConfig {
  /** Request weight per caller and minute; 0 for no limit. */
  @Variable('RATE_LIMIT_PER_MINUTE')
  @Whole(0)
  readonly perMinute: number = 6000;

  readonly maxBuckets: number = 10_000;
}

interface Bucket {
  weight: number;
  /** Time at which `weight` was computed, epoch milliseconds. */
  at: number;
}

const MINUTE_MS = 60_000;

/**
 * Token bucket for each owner in this process. An owner may use the weight of a minute at once, and the bucket refills
 * evenly over a minute. Beyond the maximum number of buckets, the least recently used one is evicted, so that its owner
 * starts with a full one.
 */
@Injectable()
export class RateLimiter {
  private readonly buckets = new Map<bigint, Bucket>();

  constructor(private readonly config: RateLimitConfig) {}

  /** Number of owners with a bucket. */
  get size(): number {
    return this.buckets.size;
  }

  /**
   * Takes weight from the owner's bucket.
   * @throws StowageError rate-limited RATE_LIMITED, with the seconds after which the request can succeed
   */
  take(ownerId: bigint, weight: number, now = Date.now()): void {
    const { perMinute, maxBuckets } = this.config;
    if (perMinute === 0) return;
    const bucket = this.buckets.get(ownerId) ?? { weight: perMinute, at: now };
    const refill = (Math.max(0, now - bucket.at) * perMinute) / MINUTE_MS;
    bucket.weight = Math.min(perMinute, bucket.weight + refill);
    bucket.at = now;
    // A new insertion moves the bucket to the end of the map, which is ordered by last use.
    this.buckets.delete(ownerId);
    this.buckets.set(ownerId, bucket);
    if (this.buckets.size > maxBuckets) {
      const [leastRecent] = this.buckets.keys();
      this.buckets.delete(leastRecent!);
    }
    // A request heavier than a minute's weight needs a full bucket.
    const missing = Math.min(weight, perMinute) - bucket.weight;
    if (missing > 0) {
      throw new StowageError('rate-limited', 'RATE_LIMITED', 'Too many requests. Try again later.', {
        retryAfterSeconds: Math.max(1, Math.ceil((missing * MINUTE_MS) / perMinute / 1000)),
      });
    }
    bucket.weight = Math.max(0, bucket.weight - weight);
  }
}
