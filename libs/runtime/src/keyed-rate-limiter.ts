import { setImmediate as nextLoop, setTimeout as delay } from 'node:timers/promises';

/** Source of time in milliseconds; tests provide their own. */
export interface RateLimiterClock {
  now(): number;
  sleep(ms: number): Promise<unknown>;
}

const SYSTEM_CLOCK: RateLimiterClock = {
  now: () => performance.now(),
  sleep: (ms) => delay(ms, undefined, { ref: false }),
};

interface Lane {
  /** Callers in the order of their calls; each is called when it has its turn. */
  readonly waiting: Set<() => void>;
  /** Turns available now, possibly fractional. */
  left: number;
  /** Time at which `left` was computed, in milliseconds. */
  at: number;
  /** Number of times the lane was started from idle. */
  runs: number;
  isRunning: boolean;
}

const SECOND_MS = 1_000;

/**
 * Token bucket for each key: a rate of turns per second, with a burst of one second's worth. Turns of one key are
 * granted in the order of the calls, at most one in each iteration of the event loop, so that other work can run in
 * between. A key is removed after it has been idle for one second.
 *
 * @example
 * if (await limiter.take(ownerId, signal)) send(state);
 */
export class KeyedRateLimiter<Key> {
  private readonly lanes = new Map<Key, Lane>();

  /** @param perSecond at least 1 */
  constructor(
    private readonly perSecond: number,
    private readonly clock = SYSTEM_CLOCK,
  ) {}

  /** Number of callers that wait for a turn, over all keys. */
  get waiting(): number {
    let sum = 0;
    for (const { waiting } of this.lanes.values()) sum += waiting.size;
    return sum;
  }

  /**
   * Resolves when the caller has its turn, or on abort. An aborted caller uses no turn.
   * @returns whether the caller has its turn
   */
  take(key: Key, signal?: AbortSignal): Promise<boolean> {
    if (signal?.aborted) return Promise.resolve(false);
    const lane = this.lanes.get(key) ?? {
      waiting: new Set<() => void>(),
      left: this.perSecond,
      at: this.clock.now(),
      runs: 0,
      isRunning: false,
    };
    this.lanes.set(key, lane);
    return new Promise((resolve) => {
      const grant = () => {
        signal?.removeEventListener('abort', abandon);
        resolve(true);
      };
      const abandon = () => {
        lane.waiting.delete(grant);
        resolve(false);
      };
      signal?.addEventListener('abort', abandon, { once: true });
      lane.waiting.add(grant);
      if (!lane.isRunning) void this.run(key, lane);
    });
  }

  private async run(key: Key, lane: Lane): Promise<void> {
    const run = ++lane.runs;
    lane.isRunning = true;
    while (lane.waiting.size > 0) {
      await this.refill(lane);
      const [grant] = lane.waiting;
      // All callers may have left during the wait.
      if (grant === undefined) break;
      lane.waiting.delete(grant);
      lane.left -= 1;
      grant();
      await nextLoop();
    }
    lane.isRunning = false;
    // After an idle second the bucket is full again, so removing the key loses no state.
    await this.clock.sleep(SECOND_MS);
    if (lane.runs === run) this.lanes.delete(key);
  }

  private async refill(lane: Lane): Promise<void> {
    for (;;) {
      const now = this.clock.now();
      lane.left = Math.min(this.perSecond, lane.left + ((now - lane.at) * this.perSecond) / SECOND_MS);
      lane.at = now;
      if (lane.left >= 1) return;
      await this.clock.sleep(((1 - lane.left) * SECOND_MS) / this.perSecond);
    }
  }
}
