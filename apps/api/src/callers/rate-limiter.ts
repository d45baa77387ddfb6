import { StowageError } from '#libs/domain';

interface Bucket {
  weight: number;
  /** When `weight` was right, milliseconds. */
  at: number;
}

const MINUTE_MS = 60_000;
const MAX_BUCKETS = 10_000;

/**
 * A token bucket for each owner, in this process: a minute's weight may be used at once, and comes back evenly over a
 * minute. Of more owners than it remembers, those that were quiet for longest start anew.
 */
export class RateLimiter {
  private readonly buckets = new Map<bigint, Bucket>();

  /** @param perMinute weight; 0 for no limit */
  constructor(
    private readonly perMinute: number,
    private readonly maxBuckets = MAX_BUCKETS,
  ) {}

  /** How many owners it remembers. */
  get size(): number {
    return this.buckets.size;
  }

  /** @throws StowageError rate-limited RATE_LIMITED, with the seconds after which the same is possible */
  take(ownerId: bigint, weight: number, now = Date.now()): void {
    if (this.perMinute === 0) return;
    const bucket = this.buckets.get(ownerId) ?? { weight: this.perMinute, at: now };
    const regained = (Math.max(0, now - bucket.at) * this.perMinute) / MINUTE_MS;
    bucket.weight = Math.min(this.perMinute, bucket.weight + regained);
    bucket.at = now;
    // Newest last.
    this.buckets.delete(ownerId);
    this.buckets.set(ownerId, bucket);
    if (this.buckets.size > this.maxBuckets) this.forgetOldest();
    // What weighs more than a minute's worth is possible with a full bucket.
    const missing = Math.min(weight, this.perMinute) - bucket.weight;
    if (missing > 0) {
      throw new StowageError('rate-limited', 'RATE_LIMITED', 'Too many requests. Try again later.', {
        retryAfterSeconds: Math.max(1, Math.ceil((missing * MINUTE_MS) / this.perMinute / 1000)),
      });
    }
    bucket.weight = Math.max(0, bucket.weight - weight);
  }

  private forgetOldest(): void {
    for (const ownerId of this.buckets.keys()) {
      this.buckets.delete(ownerId);
      return;
    }
  }
}
