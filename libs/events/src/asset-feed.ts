import { Injectable } from '@nestjs/common';
import { Notifications } from '#libs/database';
import { CHANNEL } from './domain-events.repository.js';

/** Interval at which a watcher re-reads its assets without a notification, since notifications can be lost. */
const HEARTBEAT_MS = 15_000;
/** Interval while the feed has no connection and therefore receives no notifications. */
const DISCONNECTED_HEARTBEAT_MS = 2_000;

/** Time of the next heartbeat of a watch. Wakes for other reasons do not put it off. */
class Heartbeat {
  private last = performance.now();
  /** Spreads the re-reads of many watchers. */
  private jitter = 0.75 + Math.random() / 2;

  dueInMs(isListening: boolean): number {
    const intervalMs = isListening ? HEARTBEAT_MS : DISCONNECTED_HEARTBEAT_MS;
    return Math.max(0, this.last + intervalMs * this.jitter - performance.now());
  }

  /** Whether the heartbeat is due; the next one then follows after the interval. */
  beats(isListening: boolean): boolean {
    if (this.dueInMs(isListening) > 0) return false;
    this.last = performance.now();
    this.jitter = 0.75 + Math.random() / 2;
    return true;
  }
}

/** A subscription of one watcher to some assets. */
export class Watch {
  /** Assets that may have changed since the last call of `next`. */
  private readonly changed = new Set<string>();
  private readonly heartbeat = new Heartbeat();
  private wakeUp: (() => void) | undefined;

  constructor(
    private readonly feed: AssetFeed,
    private readonly watched: Set<string>,
  ) {}

  /** Called by the feed when an asset may have changed. */
  notify(id: string): void {
    this.changed.add(id);
    this.wake();
  }

  /** Ends a pending call of `next`. */
  wake(): void {
    this.wakeUp?.();
  }

  /** Whether an asset may have changed since the last call of `next`. */
  hasChanged(id: string): boolean {
    return this.changed.has(id);
  }

  /** Reduces the watch to `ids`, a subset of the watched assets, and discards notifications of the others. */
  narrow(ids: Pick<ReadonlySet<string>, 'has' | 'size'>): void {
    if (ids.size === this.watched.size) return;
    const left = [...this.watched].filter((id) => !ids.has(id));
    this.feed.leave(this, left);
    for (const id of left) {
      this.watched.delete(id);
      this.changed.delete(id);
    }
  }

  /**
   * Waits until a watched asset may have changed since the last call, for at most `withinMs` milliseconds, until `wake`, or until abort.
   * @returns the watched assets that may have changed since the last call: all of them at a heartbeat and after a reconnection of the
   * feed, possibly none
   */
  async next(signal: AbortSignal, withinMs = Infinity): Promise<ReadonlySet<string>> {
    const heartbeatMs = this.heartbeat.dueInMs(this.feed.isListening);
    if (this.changed.size === 0 && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, Math.max(0, Math.min(heartbeatMs, withinMs)));
        signal.addEventListener('abort', done, { once: true });
        this.wakeUp = done;
        function done() {
          clearTimeout(timer);
          signal.removeEventListener('abort', done);
          resolve();
        }
      });
      this.wakeUp = undefined;
    }
    const ids = new Set(this.heartbeat.beats(this.feed.isListening) ? this.watched : this.changed);
    this.changed.clear();
    return ids;
  }

  /** Ends the watch. */
  close(): void {
    this.feed.leave(this, this.watched);
  }
}

/**
 * Notifies watchers in this process of assets that changed in any process. A notification is a hint that may be
 * duplicated, late or lost; the database has the state.
 */
@Injectable()
export class AssetFeed {
  private readonly watches = new Map<string, Set<Watch>>();

  constructor(private readonly notifications: Notifications) {
    notifications.listen(CHANNEL, {
      notified: (ids) => this.notify(ids.split(' ')),
      // Notifications during the disconnection were lost, so every watcher re-reads its assets.
      connected: () => this.notify(this.watches.keys()),
      // Waits that began before use the shorter interval too.
      disconnected: () => {
        for (const watches of this.watches.values()) for (const watch of watches) watch.wake();
      },
    });
  }

  /** Whether the feed is connected and receives notifications. */
  get isListening(): boolean {
    return this.notifications.isListening;
  }

  /**
   * Watches assets until `close`.
   * @example
   * const watch = feed.watch([assetId]);
   * while (!signal.aborted) {
   *   const ids = await watch.next(signal);
   *   send(await readAssets(ids));
   * }
   * watch.close();
   */
  watch(ids: Iterable<string>): Watch {
    const watched = new Set(ids);
    const watch = new Watch(this, watched);
    for (const id of watched) this.watches.set(id, (this.watches.get(id) ?? new Set<Watch>()).add(watch));
    return watch;
  }

  /** Called by a watch that no longer watches these assets. */
  leave(watch: Watch, ids: Iterable<string>): void {
    for (const id of ids) {
      const others = this.watches.get(id);
      others?.delete(watch);
      if (others?.size === 0) this.watches.delete(id);
    }
  }

  private notify(ids: Iterable<string>): void {
    for (const id of ids) for (const watch of this.watches.get(id) ?? []) watch.notify(id);
  }
}
