import { setImmediate as nextTurnOfLoop, setTimeout as delay } from 'node:timers/promises';

/** Where time comes from, in milliseconds; tests bring their own. */
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
  /** Turns that may be taken at once. */
  left: number;
  /** When `left` was right, milliseconds. */
  at: number;
  /** How often it was taken up again after nobody had waited. */
  runs: number;
  isRunning: boolean;
}

const SECOND_MS = 1_000;

/**
 * Bounds the work that is done for each key: so many turns a second, of which a second's worth may be taken at once. Turns of
 * one key are given in the order in which they were asked for, and one in each turn of the event loop, so that work for others comes in
 * between. A key that has waited for nothing for a second is forgotten.
 *
 * @example
 * await turns.take(ownerId);
 * send(state);
 */
export class KeyedRateLimiter<Key> {
  private readonly lanes = new Map<Key, Lane>();

  /** @param perSecond at least 1 */
  constructor(
    private readonly perSecond: number,
    private readonly clock = SYSTEM_CLOCK,
  ) {}

  /** How many wait for their turn, of all keys. */
  get waiting(): number {
    let sum = 0;
    for (const { waiting } of this.lanes.values()) sum += waiting.length;
    return sum;
  }

  /** Resolves when it is this caller's turn. */
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
      await this.regain(lane);
      lane.left -= 1;
      lane.waiting.shift()?.();
      await nextTurnOfLoop();
    }
    lane.isRunning = false;
    // By then it has regained a second's worth.
    await this.clock.sleep(SECOND_MS);
    if (lane.runs === run) this.lanes.delete(key);
  }

  private async regain(lane: Lane): Promise<void> {
    for (;;) {
      const now = this.clock.now();
      lane.left = Math.min(this.perSecond, lane.left + ((now - lane.at) * this.perSecond) / SECOND_MS);
      lane.at = now;
      if (lane.left >= 1) return;
      await this.clock.sleep(((1 - lane.left) * SECOND_MS) / this.perSecond);
    }
  }
}
