import type { Backlog } from './backlog.js';
import type { Database } from './database.js';
import type { Dispatcher } from '../delivery/dispatcher.js';
import { RpcError } from '../errors.js';
import type { Subscriptions } from './subscriptions.js';

const EVERY_MS = 60_000;
const BATCH = 500;

/** Dependencies of a {@link Sweeper}. */
export interface SweeperParts {
  readonly database: Database;
  readonly backlog: Backlog;
  readonly subscriptions: Subscriptions;
  readonly dispatcher: Dispatcher;
  readonly onError: (error: unknown) => void;
}

/**
 * Once a minute, deletes subscriptions that were idle beyond their expiration policy, messages beyond their retention,
 * and the backlogs of deleted subscriptions. It works in batches, so that other requests are handled in between.
 */
export class Sweeper {
  private sweptAt = 0;
  private sweeping = false;

  constructor(private readonly parts: SweeperParts) {}

  get idle(): boolean {
    return !this.sweeping;
  }

  tick(now: number): void {
    if (this.sweeping || now - this.sweptAt < EVERY_MS) return;
    this.sweptAt = now;
    this.sweeping = true;
    this.sweep(now)
      .catch((error: unknown) => {
        // An RpcError here means that the emulator is closing.
        if (!(error instanceof RpcError)) this.parts.onError(error);
      })
      .finally(() => (this.sweeping = false));
  }

  private async sweep(now: number): Promise<void> {
    const { database, backlog, subscriptions, dispatcher } = this.parts;
    for (const subscription of [...subscriptions]) {
      const { id, settings, activeAt } = subscription;
      if (settings.expirationMs !== null && now - activeAt >= settings.expirationMs) {
        dispatcher.deleteSubscription(subscription);
      } else {
        await this.inBatches(() => backlog.dropExpired(id, now - settings.retentionMs, BATCH));
      }
    }
    const deleted = database.prepare('SELECT id FROM subscriptions WHERE name IS NULL').all();
    for (const { id } of deleted) {
      await this.inBatches(() => backlog.dropAny(Number(id), BATCH));
      await database.submit(() => database.prepare('DELETE FROM subscriptions WHERE id = ?').run(Number(id)));
    }
  }

  private async inBatches(drop: () => number): Promise<void> {
    let dropped;
    do dropped = await this.parts.database.submit(drop);
    while (dropped === BATCH);
  }
}
