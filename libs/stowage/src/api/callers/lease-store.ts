import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { Redis } from 'ioredis';
import pg from 'pg';
import { RateLimiterPostgres, RateLimiterRedis } from 'rate-limiter-flexible';
import { Database, statement } from '#libs/database';
import { QueueConfig } from '#libs/queue';
import { RateLimitConfig } from './rate-limit.config.js';

const MINUTE_SECONDS = 60;
const KEY_PREFIX = 'stowage:rate';
const MAX_RETRY_MS = 5_000;
/** Leases between two removals of expired rows. A lease adds at most one row, and a removal takes more rows than this. */
const REMOVE_EVERY = 64;
/** Far above the difference between the clocks of the processes, by which rows expire. */
const EXPIRED_FOR_MS = 10 * 60_000;

const REMOVE_EXPIRED = statement<object>(
  'rate_limits_remove_expired',
  `delete from rate_limits where key in (
    select key from rate_limits where expire < $1 order by expire limit 256 for update skip locked)`,
);

/** Part of an owner's weight of a minute that one process may spend. */
export interface Lease {
  readonly granted: number;
  /** Time until the minute ends, and with it the lease, in milliseconds. */
  readonly remainingMs: number;
}

/**
 * Counts the weight that processes have leased of each owner's current minute, in Redis or PostgreSQL. A minute begins with the
 * first lease.
 */
@Injectable()
export class LeaseStore implements OnModuleInit, OnApplicationShutdown {
  private readonly redis: Redis | undefined;
  private readonly limiter: Pick<RateLimiterRedis, 'penalty'>;
  private leases = 0;

  constructor(
    private readonly config: RateLimitConfig,
    { redisUrl }: QueueConfig,
    private readonly database: Database,
  ) {
    const { perMinute, timeoutMs } = config;
    const limits = { points: perMinute, duration: MINUTE_SECONDS, keyPrefix: KEY_PREFIX };
    const url = config.redisUrl ?? redisUrl;
    if (url !== undefined && perMinute > 0) {
      this.redis = new Redis(url, {
        lazyConnect: true,
        connectTimeout: timeoutMs,
        commandTimeout: timeoutMs,
        // Closes a connection whose peer is silent. Commands fail at once until the next one is open.
        socketTimeout: 5 * timeoutMs,
        enableOfflineQueue: false,
        maxRetriesPerRequest: 0,
        retryStrategy: (times) => Math.min(50 * 2 ** times, MAX_RETRY_MS),
      });
      // Each failed lease is counted; without a listener ioredis prints the errors.
      this.redis.on('error', () => undefined);
      this.limiter = new RateLimiterRedis({ ...limits, storeClient: this.redis });
    } else {
      this.limiter = new RateLimiterPostgres({
        ...limits,
        storeClient: {
          // The limiter calculates with int8, which the pool reads as bigint.
          query: (query: pg.QueryConfig) =>
            database.pool.query({ ...query, types: pg.types, query_timeout: timeoutMs } as pg.QueryConfig),
        },
        storeType: 'pool',
        tableName: 'rate_limits',
        tableCreated: true,
        clearExpiredByTimeout: false,
      });
    }
  }

  /** Connects. A Redis that is down does not keep the process from starting. */
  async onModuleInit(): Promise<void> {
    await this.redis?.connect().catch(() => undefined);
  }

  onApplicationShutdown(): void {
    this.redis?.disconnect();
  }

  /**
   * Leases weight of the owner's current minute, or the rest of the minute's weight if that is less.
   * @throws Error of the store
   */
  async lease(ownerId: bigint, weight: number): Promise<Lease> {
    const { perMinute } = this.config;
    const { consumedPoints, msBeforeNext } = await this.limiter.penalty(String(ownerId), weight);
    if (this.redis === undefined && this.leases++ % REMOVE_EVERY === 0) {
      // Rows that are left are removed after later leases.
      this.database.query(REMOVE_EXPIRED, [Date.now() - EXPIRED_FOR_MS]).catch(() => undefined);
    }
    const left = perMinute - (consumedPoints - weight);
    return { granted: Math.min(Math.max(left, 0), weight), remainingMs: msBeforeNext };
  }
}
