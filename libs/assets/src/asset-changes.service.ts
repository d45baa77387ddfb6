import { Injectable } from '@nestjs/common';
import { dependsOnShares, permissionsOf, readableUntil } from '#libs/access';
import { Clock } from '#libs/database';
import { type Actor, assetNotFound, invalid, kindOf } from '#libs/domain';
import { AssetFeed, type Watch } from '#libs/events';
import type { Asset } from './asset.js';
import { AssetsService } from './assets.service.js';
import { type OwnerRead, OwnerReads } from './owner-reads.js';
import { SubscriptionRateLimiter } from './subscription-rate-limiter.js';

const MAX_ASSETS = 100;
/** How long a state that was read, and the caller's access to it, stay valid. Subscriptions end within a second of a revocation. */
const FRESH_MS = 500;
/** Interval at which access by shares is read again, because shares of features begin and end without an event. */
const SHARES_MS = 700;
/** The shortest time to the next read of access that ends. The clock of this process may be ahead of the database's. */
const EXPIRY_MS = 250;
/** The longest delay of a timer: https://nodejs.org/api/timers.html#settimeoutcallback-delay-args */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Streams changes of assets to callers that may read them. */
@Injectable()
export class AssetChangesService {
  private readonly reads: OwnerReads;

  constructor(
    private readonly assets: AssetsService,
    private readonly feed: AssetFeed,
    private readonly rateLimiter: SubscriptionRateLimiter,
    private readonly clock: Clock,
  ) {
    this.reads = new OwnerReads(assets);
  }

  /**
   * Yields the current state of each asset, then each change of it or of the caller's permissions. States may be skipped; the last one
   * is always sent. Every read checks access again, after each change and when a grant ends. Ends when no asset is left that exists
   * and that the caller may read, or when the caller's token expires. Assets that the caller may not read are not watched, so that the
   * timing of reads and of the end does not reveal their changes.
   * {@link OwnerReads} and {@link SubscriptionRateLimiter} limit reads and messages over all subscriptions of an owner.
   * @throws StowageError invalid ASSET_COUNT; not-found ASSET_NOT_FOUND when the caller may read none of them; unavailable
   */
  async watch(actor: Actor, ids: readonly string[]): Promise<AsyncIterableIterator<Asset>> {
    const wanted = [...new Set(ids)];
    if (wanted.length < 1 || wanted.length > MAX_ASSETS) {
      throw invalid('ASSET_COUNT', `Watch 1 to ${MAX_ASSETS} assets at a time.`, ['ids']);
    }
    // Watching starts before the read, so that no change in between is missed.
    const watch = this.feed.watch(wanted);
    try {
      const found = await this.reads.read(actor, wanted);
      if (found.assets.length === 0) throw assetNotFound();
      return this.endable(actor, watch, statesOf(found));
    } catch (error) {
      watch.close();
      throw error;
    }
  }

  /** A generator handles `return()` only after its pending `await`, so that an abort signal must end the wait. */
  private endable(actor: Actor, watch: Watch, found: Map<string, State>): AsyncIterableIterator<Asset> {
    const end = new AbortController();
    const lifetime = (actor.until?.getTime() ?? Infinity) - this.clock.now().getTime();
    const timer = setTimeout(() => end.abort(), Math.min(Math.max(lifetime, 0), LONGEST_TIMER_MS));
    const close = () => {
      end.abort();
      clearTimeout(timer);
      watch.close();
    };
    const changes = this.changes(actor, watch, found, end.signal, close);
    return {
      [Symbol.asyncIterator]() {
        return this;
      },
      next: () => changes.next(),
      return: () => {
        close();
        return changes.return(undefined);
      },
    };
  }

  private async *changes(
    actor: Actor,
    watch: Watch,
    found: Map<string, State>,
    end: AbortSignal,
    close: () => void,
  ): AsyncGenerator<Asset, undefined> {
    const sent = new Map<string, string>();
    const stateOf = (asset: Asset) =>
      `${asset.version} ${asset.updatedAt.getTime()} ${permissionsOf(actor, asset).join()}`;
    let states = found;
    try {
      while (states.size > 0 && !end.aborted) {
        // The timing of messages must not reveal changes of assets that the caller may not read.
        watch.narrow(states);
        const due = [...states.values()].find(({ asset }) => sent.get(asset.id) !== stateOf(asset));
        if (due === undefined) {
          await this.wait(actor, watch, states, end);
          const read = end.aborted ? null : await this.read(() => this.reads.read(actor, [...states.keys()]));
          if (read !== null) states = statesOf(read);
          continue;
        }
        await this.rateLimiter.take(actor.ownerId);
        if (end.aborted) break;
        const { id } = due.asset;
        const isCurrent = !watch.hasChanged(id) && this.isFresh(actor, due);
        const current = isCurrent ? due : await this.readAgain(actor, id);
        if (current === null) {
          await this.wait(actor, watch, states, end);
        } else if (current === undefined) {
          states.delete(id);
        } else {
          states.set(id, current);
          sent.set(id, stateOf(current.asset));
          yield current.asset;
        }
      }
    } finally {
      close();
    }
  }

  /** Waits for a notification, or until the caller's access to an asset may have ended without one. */
  private async wait(
    actor: Actor,
    watch: Watch,
    states: ReadonlyMap<string, State>,
    end: AbortSignal,
  ): Promise<void> {
    const assets = [...states.values()].map(({ asset }) => asset);
    const remaining =
      Math.min(...assets.map((asset) => readableUntil(actor, asset))) - this.clock.now().getTime();
    const longest = assets.some((asset) => dependsOnShares(actor, asset)) ? SHARES_MS : LONGEST_TIMER_MS;
    const timer = setTimeout(
      () => watch.notify(assets[0]!.id),
      Math.min(Math.max(remaining, EXPIRY_MS), longest),
    );
    try {
      await watch.next(end);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A slow consumer may have lost access to the asset since the state was read. */
  private isFresh(actor: Actor, { asset, readAt }: State): boolean {
    return performance.now() - readAt < FRESH_MS && readableUntil(actor, asset) > this.clock.now().getTime();
  }

  /** @returns undefined if the caller may no longer read the asset, null while the database is unavailable */
  private async readAgain(actor: Actor, id: string): Promise<State | null | undefined> {
    const readAt = performance.now();
    const read = await this.read(() => this.assets.findAll(actor, [id]));
    return read && read.map((asset) => ({ asset, readAt }))[0];
  }

  /** @returns null while the database is unavailable */
  private async read<Result>(work: () => Promise<Result>): Promise<Result | null> {
    try {
      return await work();
    } catch (error) {
      if (kindOf(error) === 'unavailable') return null;
      throw error;
    }
  }
}

/** An asset and the time at which its statement began, in milliseconds of `performance.now()`. */
interface State {
  readonly asset: Asset;
  readonly readAt: number;
}

const statesOf = ({ assets, readAt }: OwnerRead): Map<string, State> =>
  new Map(assets.map((asset) => [asset.id, { asset, readAt }]));
