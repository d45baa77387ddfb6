import { Injectable } from '@nestjs/common';
import { Clock } from '#libs/database';
import { type Actor, assetNotFound, invalid, kindOf } from '#libs/domain';
import { AssetFeed, type Watch } from '#libs/events';
import type { Asset } from './asset.js';
import { AssetsService } from './assets.service.js';
import { OwnerReads } from './owner-reads.js';
import { SubscriptionRateLimiter } from './subscription-rate-limiter.js';

const MAX_ASSETS = 100;
/** How long a state that was read, and the caller's access to it, stay valid. */
const FRESH_MS = 500;
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
   * Yields the current state of each asset, then each change. States may be skipped; the last one is always sent. Every read checks
   * access again. Ends when no asset is left that exists and that the caller may read, or when the caller's token expires. Assets
   * that the caller may not read are not watched, so that the timing of reads and of the end does not reveal their changes.
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
      if (found.length === 0) throw assetNotFound();
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
    let states = found;
    try {
      while (states.size > 0 && !end.aborted) {
        // The timing of messages must not reveal changes of assets that the caller may not read.
        watch.narrow(states);
        const due = [...states.values()].find(({ asset }) => sent.get(asset.id) !== stateOf(asset));
        if (due === undefined) {
          await watch.next(end);
          const read = end.aborted ? null : await this.read(() => this.reads.read(actor, [...states.keys()]));
          if (read !== null) states = statesOf(read);
          continue;
        }
        await this.rateLimiter.take(actor.ownerId);
        if (end.aborted) break;
        const { id } = due.asset;
        // A slow consumer may have lost access to the asset since the state was read.
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

  /** @returns null while the database is unavailable */
  private async read(work: () => Promise<readonly Asset[]>): Promise<readonly Asset[] | null> {
    try {
      return await work();
    } catch (error) {
      if (kindOf(error) === 'unavailable') return null;
      throw error;
    }
  }
}

/** An asset and the time at which it was read, in milliseconds of `performance.now()`. */
interface State {
  readonly asset: Asset;
  readonly readAt: number;
}

function statesOf(assets: readonly Asset[]): Map<string, State> {
  const readAt = performance.now();
  return new Map(assets.map((asset) => [asset.id, { asset, readAt }]));
}

const stateOf = ({ version, updatedAt }: Asset) => `${version} ${updatedAt.getTime()}`;
