import { Injectable } from '@nestjs/common';
import { Clock } from '#libs/database';
import { type Actor, assetNotFound, invalid, kindOf } from '#libs/domain';
import { AssetFeed, type Watch } from '#libs/events';
import type { Asset } from './asset.js';
import { AssetsService } from './assets.service.js';
import { OwnerReads } from './owner-reads.js';
import { SubscriptionRateLimiter } from './subscription-rate-limiter.js';

const MAX_ASSETS = 100;
/** How long what was read, and that the caller may read it, is believed. */
const FRESH_MS = 500;
/** What a timer can wait: https://nodejs.org/api/timers.html#settimeoutcallback-delay-args */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** What happens to assets, as it happens, for whoever may read them. */
@Injectable()
export class AssetChangesService {
  private readonly reads: OwnerReads;

  constructor(
    private readonly assets: AssetsService,
    private readonly feed: AssetFeed,
    private readonly turns: SubscriptionRateLimiter,
    private readonly clock: Clock,
  ) {
    this.reads = new OwnerReads(assets);
  }

  /**
   * First each asset as it is, then whenever it changed; states may be skipped, the last always arrives. Access is asked
   * for again each time something is read. Ends when none is left: purged, or not the caller's to read any more; or when the
   * caller's token does. Only assets that the caller may read are watched, so that neither a read nor an end tells when another one
   * changed. {@link OwnerReads} and {@link SubscriptionTurns} bound what all subscriptions of an owner read and send.
   * @throws StowageError invalid ASSET_COUNT; not-found ASSET_NOT_FOUND when the caller may read none of them; unavailable
   */
  async watch(actor: Actor, ids: readonly string[]): Promise<AsyncIterableIterator<Asset>> {
    const wanted = [...new Set(ids)];
    if (wanted.length < 1 || wanted.length > MAX_ASSETS) {
      throw invalid('ASSET_COUNT', `Watch 1 to ${MAX_ASSETS} assets at a time.`, ['ids']);
    }
    // Before they are read, so that nothing is missed in between; from then on only those that the caller may read.
    const watch = this.feed.watch(wanted);
    try {
      const found = await this.reads.read(actor, wanted);
      if (found.length === 0) throw assetNotFound();
      return this.endable(actor, watch, statesOf(found));
    } catch (error) {
      watch.close();
      throw error;
    }
  }

  /** A generator that waits hears of `return()` only when the wait is over: it has to be ended from outside. */
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
    let states = found;
    try {
      while (states.size > 0 && !end.aborted) {
        // What else happens to assets that the caller may not read must not be told, not even by when something ends.
        watch.narrow(states);
        const due = [...states.values()].find(({ asset }) => sent.get(asset.id) !== stateOf(asset));
        if (due === undefined) {
          await watch.next(end);
          const read = end.aborted ? null : await this.read(() => this.reads.read(actor, [...states.keys()]));
          if (read !== null) states = statesOf(read);
          continue;
        }
        await this.turns.take(actor.ownerId);
        if (end.aborted) break;
        const { id } = due.asset;
        // A reader may take their time between two of them, and may not be one any more by then.
        const isFresh = performance.now() - due.readAt < FRESH_MS;
        const read = isFresh ? [due.asset] : await this.read(() => this.assets.findAll(actor, [id]));
        const [asset] = read ?? [];
        if (read === null) {
          await watch.next(end);
        } else if (asset === undefined) {
          states.delete(id);
        } else {
          states.set(id, isFresh ? due : { asset, readAt: performance.now() });
          sent.set(id, stateOf(asset));
          yield asset;
        }
      }
    } finally {
      close();
    }
  }

  /** Null when the database is down just now. */
  private async read(work: () => Promise<readonly Asset[]>): Promise<readonly Asset[] | null> {
    try {
      return await work();
    } catch (error) {
      if (kindOf(error) === 'unavailable') return null;
      throw error;
    }
  }
}

/** An asset, and when it was read. */
interface State {
  readonly asset: Asset;
  readonly readAt: number;
}

function statesOf(assets: readonly Asset[]): Map<string, State> {
  const readAt = performance.now();
  return new Map(assets.map((asset) => [asset.id, { asset, readAt }]));
}

const stateOf = ({ version, updatedAt }: Asset) => `${version} ${updatedAt.getTime()}`;
