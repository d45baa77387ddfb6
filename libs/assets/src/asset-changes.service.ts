import { Injectable } from '@nestjs/common';
import { type Actor, assetNotFound, invalid, kindOf } from '#libs/domain';
import { AssetFeed, type Watch } from '#libs/events';
import type { Asset } from './asset.js';
import { Assets } from './assets.service.js';

const MAX_ASSETS = 100;
/** How long what was read, and that the caller may read it, is believed. */
const FRESH_MS = 500;
/** What a timer can wait: https://nodejs.org/api/timers.html#settimeoutcallback-delay-args */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** What happens to assets, as it happens, for whoever may read them. */
@Injectable()
export class AssetChanges {
  constructor(
    private readonly assets: Assets,
    private readonly feed: AssetFeed,
  ) {}

  /**
   * First each asset as it is, then whenever it changed; states may be skipped, the last always arrives. Access is asked
   * for again each time something is read. Ends when none is left: purged, or not the caller's to read any more; or when the
   * caller's token does.
   * @throws StowageError invalid ASSET_COUNT; not-found ASSET_NOT_FOUND when the caller may read none of them; unavailable
   */
  async watch(actor: Actor, ids: readonly string[]): Promise<AsyncIterableIterator<Asset>> {
    const wanted = [...new Set(ids)];
    if (wanted.length < 1 || wanted.length > MAX_ASSETS) {
      throw invalid('ASSET_COUNT', `Watch 1 to ${MAX_ASSETS} assets at a time.`, ['ids']);
    }
    // Before the first look, so that nothing is missed in between.
    const watch = this.feed.watch(wanted);
    try {
      const found = await this.assets.findAll(actor, wanted);
      if (found.length === 0) throw assetNotFound();
      return this.endable(actor, watch, found);
    } catch (error) {
      watch.close();
      throw error;
    }
  }

  /** A generator that waits hears of `return()` only when the wait is over: it has to be ended from outside. */
  private endable(actor: Actor, watch: Watch, found: readonly Asset[]): AsyncIterableIterator<Asset> {
    const end = new AbortController();
    const lifetime = (actor.until?.getTime() ?? Infinity) - Date.now();
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
    found: readonly Asset[],
    end: AbortSignal,
    close: () => void,
  ): AsyncGenerator<Asset, undefined> {
    const sent = new Map<string, string>();
    let assets = found;
    /** Null when the last look failed, and another is due. */
    let readAt: number | null = performance.now();
    try {
      while (assets.length > 0 && !end.aborted) {
        const asset = assets.find((each) => sent.get(each.id) !== stateOf(each));
        // A reader may take their time between two of them, and may not be one any more by then.
        const isFresh = readAt !== null && performance.now() - readAt < FRESH_MS;
        if (asset !== undefined && isFresh) {
          sent.set(asset.id, stateOf(asset));
          yield asset;
          continue;
        }
        if (asset === undefined && readAt !== null) await watch.next(end);
        const read = end.aborted ? [] : await this.read(actor, assets);
        readAt = read === null ? null : performance.now();
        if (read === null) await watch.next(end);
        else assets = read;
      }
    } finally {
      close();
    }
  }

  /** The same assets, less those that are gone; null when the database is down just now. */
  private async read(actor: Actor, assets: readonly Asset[]): Promise<readonly Asset[] | null> {
    const ids = assets.map(({ id }) => id);
    try {
      return await this.assets.findAll(actor, ids);
    } catch (error) {
      if (kindOf(error) === 'unavailable') return null;
      throw error;
    }
  }
}

const stateOf = ({ version, updatedAt }: Asset) => `${version} ${updatedAt.getTime()}`;
