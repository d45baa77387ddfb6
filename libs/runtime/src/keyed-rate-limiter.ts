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
  readonly waiting: (() => void)[];
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
 * await limiter.take(ownerId);
 * send(state);
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
    for (const { waiting } of this.lanes.values()) sum += waiting.length;
    return sum;
  }

  /** Resolves when the caller has its turn. */
  take(key: Key): Promise<void> {
    const lane = this.lanes.get(key) ?? {
      waiting: [],
      left: this.perSecond,
      at: this.clock.now(),
      runs: 0,
      isRunning: false,
    };
    this.lanes.set(key, lane);
    return new Promise((resolve) => {
      lane.waiting.push(resolve);
      if (!lane.isRunning) void this.run(key, lane);
    });
  }

  private async run(key: Key, lane: Lane): Promise<void> {
    const run = ++lane.runs;
    lane.isRunning = true;
    while (lane.waiting.length > 0) {
      await this.refill(lane);
      lane.left -= 1;
      lane.waiting.shift()?.();
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
