import { Injectable, Logger } from '@nestjs/common';
import { Counter, Registry } from 'prom-client';
import { StowageError } from '#libs/domain';
import { type Lease, LeaseStore } from './lease-store.js';
import { RateLimitConfig } from './rate-limit.config.js';

/** Weight that this process may spend for an owner until the owner's minute ends. */
interface Share {
  left: number;
  /** End of the minute, in milliseconds of {@link RateLimiter.now}. */
  endsAt: number;
  /** Whether the minute has no more weight to lease. */
  isExhausted: boolean;
  /** Weight of the next lease. */
  next: number;
  /** Weight of the requests that wait for a lease. */
  waiting: number;
  leasing?: Promise<void>;
  /** Weight that was granted without the store, and the end of the minute that it belongs to. */
  local: { granted: number; endsAt: number };
}

const MINUTE_MS = 60_000;
/** Parts of a minute's weight: the first lease is small, for owners with few requests, and each later one twice as large. */
const FIRST_PART = 1 / 200;
const LARGEST_PART = 1 / 20;
/** Time without requests to the store after it failed, so that requests do not wait for it one by one. */
const PAUSE_MS = 5_000;

/**
 * Rate limit of each owner over all processes. A process leases a share of the owner's minute and spends it without asking the
 * store again, so most requests cost no round trip. Together the processes grant at most the weight of a minute, and one share
 * of a process more where two minutes meet. While the store does not answer, each process grants the weight of a minute by
 * itself. Beyond the maximum number of shares, the least recently used one is dropped, and with it what is left of it.
 */
@Injectable()
export class RateLimiter {
  private readonly logger = new Logger(RateLimiter.name);
  private readonly shares = new Map<bigint, Share>();
  private readonly leases: Counter<'source'>;
  private storeRetryAt = -Infinity;
  /** Monotonic clock in milliseconds. */
  now = () => performance.now();

  constructor(
    private readonly config: RateLimitConfig,
    private readonly store: LeaseStore,
    registry: Registry,
  ) {
    this.leases = new Counter({
      name: 'stowage_rate_limit_leases_total',
      help: 'Leased shares of rate limits, by source: the store, or this process alone (local) while the store does not answer',
      labelNames: ['source'],
      registers: [registry],
    });
  }

  /** Number of owners with a share. */
  get size(): number {
    return this.shares.size;
  }

  /**
   * Takes weight from the owner's minute. Returns undefined if the share of this process has it.
   * @throws StowageError rate-limited RATE_LIMITED, by the promise, with the seconds until the minute ends
   */
  take(ownerId: bigint, weight: number): Promise<void> | undefined {
    const { perMinute } = this.config;
    if (perMinute === 0) return undefined;
    const share = this.shareOf(ownerId);
    // A request heavier than a minute's weight needs the whole minute.
    const needed = Math.min(weight, perMinute);
    return this.spend(share, needed) ? undefined : this.takeLater(ownerId, share, needed);
  }

  private shareOf(ownerId: bigint): Share {
    const share = this.shares.get(ownerId) ?? {
      left: 0,
      endsAt: -Infinity,
      isExhausted: false,
      next: this.partOf(FIRST_PART),
      waiting: 0,
      local: { granted: 0, endsAt: -Infinity },
    };
    // A new insertion moves the share to the end of the map, which is ordered by last use.
    this.shares.delete(ownerId);
    this.shares.set(ownerId, share);
    if (this.shares.size > this.config.maxShares) {
      const [leastRecent] = this.shares.keys();
      this.shares.delete(leastRecent!);
    }
    return share;
  }

  private spend(share: Share, weight: number): boolean {
    if (share.left < weight || this.now() >= share.endsAt) return false;
    share.left -= weight;
    return true;
  }

  /** Concurrent requests of an owner share a lease, and the next lease covers all that wait. */
  private async takeLater(ownerId: bigint, share: Share, weight: number): Promise<void> {
    share.waiting += weight;
    try {
      while (!this.spend(share, weight)) {
        const remainingMs = share.endsAt - this.now();
        if (share.isExhausted && remainingMs > 0) {
          throw new StowageError('rate-limited', 'RATE_LIMITED', 'Too many requests. Try again later.', {
            retryAfterSeconds: Math.ceil(remainingMs / 1000),
          });
        }
        await (share.leasing ??= this.lease(ownerId, share).finally(() => (share.leasing = undefined)));
      }
    } finally {
      share.waiting -= weight;
    }
  }

  private async lease(ownerId: bigint, share: Share): Promise<void> {
    const askedAt = this.now();
    if (askedAt >= share.endsAt) Object.assign(share, { left: 0, next: this.partOf(FIRST_PART) });
    const { perMinute } = this.config;
    const wanted = Math.min(Math.max(share.next, share.waiting - share.left), perMinute);
    const { granted, remainingMs } =
      (await this.leaseFromStore(ownerId, wanted)) ?? this.leaseLocally(share, wanted);
    // The old minute may have ended meanwhile.
    share.left = granted + (this.now() < share.endsAt ? share.left : 0);
    share.endsAt = askedAt + remainingMs;
    share.isExhausted = granted < wanted;
    share.next = Math.min(share.next * 2, this.partOf(LARGEST_PART));
  }

  /** Undefined while the store does not answer. */
  private async leaseFromStore(ownerId: bigint, wanted: number): Promise<Lease | undefined> {
    if (this.now() < this.storeRetryAt) return undefined;
    try {
      const lease = await this.store.lease(ownerId, wanted);
      this.leases.inc({ source: 'store' });
      return lease;
    } catch (err) {
      this.storeRetryAt = this.now() + PAUSE_MS;
      this.logger.warn({ err }, 'rate limit store failed');
      return undefined;
    }
  }

  private leaseLocally({ local }: Share, wanted: number): Lease {
    const now = this.now();
    if (now >= local.endsAt) Object.assign(local, { granted: 0, endsAt: now + MINUTE_MS });
    const granted = Math.min(wanted, this.config.perMinute - local.granted);
    local.granted += granted;
    this.leases.inc({ source: 'local' });
    return { granted, remainingMs: local.endsAt - now };
  }

  private partOf(part: number): number {
    return Math.ceil(this.config.perMinute * part);
  }
}
