import { dependsOnShares, firstEndOf, permissionsOf, readableUntil } from '#libs/access';
import type { Clock } from '#libs/database';
import { type Actor, kindOf } from '#libs/domain';
import type { Watch } from '#libs/events';
import type { Asset } from './asset.js';
import type { OwnerRead, OwnerReads, ReadCause } from './owner-reads.js';
import type { SubscriptionRateLimiter } from './subscription-rate-limiter.js';

/** How long a state that was read, and the caller's access to it, stay valid. Subscriptions end within a second of a revocation. */
const FRESH_MS = 500;
/** Interval at which access by shares is read again, because shares of features begin and end without an event. */
const SHARES_MS = 700;
/** The shortest time to the next read of access that ends. The clock of this process may be ahead of the database's. */
const EXPIRY_MS = 250;
/** Time to the next read while the database is unavailable. */
const RETRY_MS = 500;
/** The longest delay of a timer: https://nodejs.org/api/timers.html#settimeoutcallback-delay-args */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** An asset as the caller can read it. */
interface State {
  readonly asset: Asset;
  /** Start of the statement that read the asset, in milliseconds of `performance.now()`. */
  readonly readAt: number;
  /** Differs between states that the caller can tell apart. */
  readonly revision: string;
  /** End of the caller's access in milliseconds since the epoch, possibly Infinity. */
  readonly until: number;
  /** The first end of one of the caller's grants, likewise. */
  readonly changesAt: number;
  readonly byShares: boolean;
}

/** Services that all subscriptions of a process share. */
export interface SubscriptionServices {
  readonly reads: OwnerReads;
  readonly rateLimiter: SubscriptionRateLimiter;
  readonly clock: Clock;
}

/**
 * One caller's subscription to some assets. It reads the assets that may have changed, those with an ending grant, and those of which
 * the access depends on shares. A state that waits for the rate limiter is read again before it is sent if it is older than
 * {@link FRESH_MS}.
 */
export class AssetSubscription {
  private readonly states = new Map<string, State>();
  /** Revisions that were sent last, by asset id. */
  private readonly sent = new Map<string, string>();
  /** Ids of the states that differ from the sent ones, in the order of their changes. */
  private readonly unsent = new Set<string>();
  /** Ids of assets to read again. */
  private readonly stale = new Set<string>();
  private readonly end = new AbortController();
  private readonly expiry: NodeJS.Timeout;
  private turn: 'none' | 'requested' | 'granted' = 'none';
  private sharesReadAt: number;
  private isReadingShares = false;
  private retryAt = 0;
  /** An error other than an unavailable database, which ends the subscription. */
  private failure: { readonly error: unknown } | undefined;

  /** @param found the first read of the watched assets, of which at least one was found */
  constructor(
    private readonly actor: Actor,
    private readonly watch: Watch,
    found: OwnerRead,
    private readonly services: SubscriptionServices,
  ) {
    for (const asset of found.assets) this.set(this.stateOf(asset, found.readAt));
    this.sharesReadAt = found.readAt;
    const lifetime = (actor.until?.getTime() ?? Infinity) - services.clock.now().getTime();
    this.expiry = setTimeout(() => this.end.abort(), Math.min(Math.max(lifetime, 0), LONGEST_TIMER_MS));
  }

  /** The states to send. A generator handles `return()` only after its pending `await`, so `return()` ends the wait by a signal. */
  iterate(): AsyncIterableIterator<Asset> {
    const changes = this.changes();
    return {
      [Symbol.asyncIterator]() {
        return this;
      },
      next: () => changes.next(),
      return: () => {
        this.close();
        return changes.return(undefined);
      },
    };
  }

  private async *changes(): AsyncGenerator<Asset, undefined> {
    try {
      while (this.states.size > 0 && !this.end.signal.aborted) {
        // The timing of messages must not reveal changes of assets that the caller may not read.
        this.watch.narrow(this.states);
        const [id] = this.unsent;
        if (id !== undefined) this.requestTurn();
        const asset = id !== undefined && this.turn === 'granted' ? await this.take(id) : null;
        if (asset === null) await this.refresh();
        else if (asset !== undefined) yield asset;
      }
    } finally {
      this.close();
    }
  }

  private close(): void {
    this.end.abort();
    clearTimeout(this.expiry);
    this.watch.close();
  }

  /** Each state sent uses one turn. The wait does not delay reads, and so neither the end of the subscription. */
  private requestTurn(): void {
    if (this.turn !== 'none') return;
    this.turn = 'requested';
    void this.services.rateLimiter.take(this.actor.ownerId, this.end.signal).then((isGranted) => {
      if (isGranted) this.turn = 'granted';
      this.watch.wake();
    });
  }

  /**
   * Takes a state for sending, and reads it before unless it is fresh: it may have waited, and the consumer may be slow.
   * @returns undefined if there is no state to send any more, null if the caller's access is not certain now
   */
  private async take(id: string): Promise<Asset | null | undefined> {
    if (!this.isFresh(id) && !(await this.read([id]))) return null;
    const state = this.states.get(id);
    if (state === undefined || !this.unsent.has(id)) return undefined;
    if (this.end.signal.aborted || this.remainingMs(state) <= 0) return null;
    this.unsent.delete(id);
    this.sent.set(id, state.revision);
    this.turn = 'none';
    return state.asset;
  }

  private isFresh(id: string): boolean {
    const state = this.states.get(id);
    return (
      state !== undefined &&
      !this.stale.has(id) &&
      !this.watch.hasChanged(id) &&
      performance.now() - state.readAt < FRESH_MS &&
      this.remainingMs(state) > 0
    );
  }

  /** Waits until an asset may have changed, access may have ended, or a state may be sent, then reads these assets. */
  private async refresh(): Promise<void> {
    for (const id of await this.watch.next(this.end.signal, this.dueInMs())) {
      if (this.states.has(id)) this.stale.add(id);
    }
    if (this.end.signal.aborted) return;
    if (this.failure !== undefined) throw this.failure.error;
    if (performance.now() < this.retryAt) return;
    for (const [id, state] of this.states) if (this.expiryDueInMs(state) <= 0) this.stale.add(id);
    if (this.sharesDueInMs() <= 0) this.readShares();
    if (this.stale.size > 0) await this.read([...this.stale]);
  }

  private dueInMs(): number {
    const due = [...this.states.values()].map((state) => this.expiryDueInMs(state));
    const dueInMs = this.stale.size > 0 ? 0 : Math.min(this.sharesDueInMs(), ...due);
    return Math.max(dueInMs, this.retryAt - performance.now());
  }

  private remainingMs({ until }: State): number {
    return until - this.services.clock.now().getTime();
  }

  private expiryDueInMs(state: State): number {
    if (state.changesAt === Infinity) return Infinity;
    const remainingMs = state.changesAt - this.services.clock.now().getTime();
    return Math.max(remainingMs, state.readAt + EXPIRY_MS - performance.now());
  }

  private sharesDueInMs(): number {
    if (this.isReadingShares || ![...this.states.values()].some(({ byShares }) => byShares)) return Infinity;
    return this.sharesReadAt + SHARES_MS - performance.now();
  }

  /** Runs beside other reads, which it would delay: the shares of an owner with many assets take several statements. */
  private readShares(): void {
    const ids = [...this.states.values()].flatMap(({ asset, byShares }) => (byShares ? asset.id : []));
    this.isReadingShares = true;
    void this.read(ids, 'shares')
      .catch((error: unknown) => (this.failure = { error }))
      .finally(() => {
        this.isReadingShares = false;
        this.watch.wake();
      });
  }

  /**
   * Reads assets again, and drops those that are gone or that the caller may no longer read.
   * @returns whether they were read; otherwise the database is unavailable, and they are read later
   */
  private async read(ids: readonly string[], cause: ReadCause = 'change'): Promise<boolean> {
    let read: OwnerRead;
    // A read of shares may wait for long, so it does not replace the read of a changed asset.
    const isChange = cause === 'change';
    if (isChange) for (const id of ids) this.stale.delete(id);
    try {
      read = await this.services.reads.read(this.actor, ids, cause);
    } catch (error) {
      if (kindOf(error) !== 'unavailable') throw error;
      if (isChange) for (const id of ids) this.stale.add(id);
      this.retryAt = performance.now() + RETRY_MS;
      return false;
    }
    const { readAt } = read;
    const assets = new Map(read.assets.map((asset) => [asset.id, asset]));
    for (const id of ids) {
      const known = this.states.get(id);
      const asset = assets.get(id);
      if (known === undefined || known.readAt > readAt) continue;
      if (asset === undefined) this.drop(id);
      else this.set(this.stateOf(asset, readAt));
    }
    if (!isChange) this.sharesReadAt = readAt;
    return true;
  }

  private stateOf(asset: Asset, readAt: number): State {
    const { actor } = this;
    return {
      asset,
      readAt,
      revision: `${asset.version} ${asset.updatedAt.getTime()} ${permissionsOf(actor, asset).join()}`,
      until: readableUntil(actor, asset),
      changesAt: firstEndOf(asset),
      byShares: dependsOnShares(actor, asset),
    };
  }

  private set(state: State): void {
    const { id } = state.asset;
    this.states.set(id, state);
    if (this.sent.get(id) === state.revision) this.unsent.delete(id);
    else this.unsent.add(id);
  }

  private drop(id: string): void {
    for (const each of [this.states, this.sent, this.unsent, this.stale]) each.delete(id);
  }
}
