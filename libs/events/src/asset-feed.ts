import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import type pg from 'pg';
import { PinoLogger } from 'nestjs-pino';
import { Database } from '#libs/database';
import { CHANNEL } from './event-relay.js';

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;
const PING_MS = 10_000;
/** Nothing is relied upon to be told: whoever watches looks again by themselves after so long. */
const HEARTBEAT_MS = 15_000;
/** The same while nothing can be told. */
const DEAF_HEARTBEAT_MS = 2_000;

/** One party's interest in some assets. */
export class Watch {
  /** Those that may have changed since the last call of `next`. */
  private readonly changed = new Set<string>();
  private readonly watched: Set<string>;
  private wake: (() => void) | undefined;

  constructor(
    private readonly feed: AssetFeed,
    ids: Iterable<string>,
  ) {
    this.watched = new Set(ids);
  }

  get ids(): ReadonlySet<string> {
    return this.watched;
  }

  /** Called by the feed: this asset may have changed. */
  notify(id: string): void {
    this.changed.add(id);
    this.wake?.();
  }

  /** Watches these alone from now on, which are some of those so far, and forgets what was told of others. */
  narrow(ids: Pick<ReadonlySet<string>, 'has' | 'size'>): void {
    if (ids.size === this.watched.size) return;
    const left = [...this.watched].filter((id) => !ids.has(id));
    this.feed.leave(this, left);
    for (const id of left) {
      this.watched.delete(id);
      this.changed.delete(id);
    }
  }

  /** Returns when one of the assets may have changed since the last call, when it is time to look again, or on abort. */
  async next(signal: AbortSignal): Promise<void> {
    if (this.changed.size === 0 && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const heartbeat = this.feed.isListening ? HEARTBEAT_MS : DEAF_HEARTBEAT_MS;
        // Not all at once.
        const timer = setTimeout(done, heartbeat * (0.75 + Math.random() / 2));
        signal.addEventListener('abort', done, { once: true });
        this.wake = done;
        function done() {
          clearTimeout(timer);
          signal.removeEventListener('abort', done);
          resolve();
        }
      });
      this.wake = undefined;
    }
    this.changed.clear();
  }

  close(): void {
    this.feed.leave(this, this.watched);
  }
}

/**
 * Tells this process which assets changed, in whatever process that happened. A hint, which may come twice, late or not
 * at all: what is true is read from the database. Holds one connection of its own, opened again for ever.
 */
@Injectable()
export class AssetFeed implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly watches = new Map<string, Set<Watch>>();
  private client: pg.Client | undefined;
  private timer: NodeJS.Timeout | undefined;
  private pauseMs = FIRST_PAUSE_MS;
  private stopped = false;
  private listening = false;

  constructor(
    private readonly database: Database,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(AssetFeed.name);
  }

  onApplicationBootstrap(): void {
    void this.connect();
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.client?.end().catch(() => undefined);
  }

  /** Whether notifications arrive just now. */
  get isListening(): boolean {
    return this.listening;
  }

  watch(ids: Iterable<string>): Watch {
    const watch = new Watch(this, ids);
    for (const id of watch.ids) {
      const others = this.watches.get(id);
      if (others === undefined) this.watches.set(id, new Set([watch]));
      else others.add(watch);
    }
    return watch;
  }

  /** Called by a watch that is interested in these no more. */
  leave(watch: Watch, ids: Iterable<string>): void {
    for (const id of ids) {
      const others = this.watches.get(id);
      others?.delete(watch);
      if (others?.size === 0) this.watches.delete(id);
    }
  }

  private async connect(): Promise<void> {
    const client = this.database.dedicated('stowage feed');
    this.client = client;
    client.once('end', () => this.lost(client));
    client.on('error', (err) => {
      this.logger.warn({ err }, 'connection of the feed broke');
      this.lost(client);
    });
    client.on('notification', ({ payload = '' }) => {
      for (const id of payload.split(' ')) for (const watch of this.watches.get(id) ?? []) watch.notify(id);
    });
    try {
      await client.connect();
      await client.query(`listen ${CHANNEL}`);
      this.listening = true;
      this.pauseMs = FIRST_PAUSE_MS;
      // Whatever was told meanwhile was not heard.
      for (const [id, watches] of this.watches) for (const watch of watches) watch.notify(id);
      this.timer = setTimeout(() => void this.ping(client), PING_MS);
    } catch (err) {
      this.logger.warn({ err }, 'the feed cannot listen');
      this.lost(client);
    }
  }

  /** A peer that went away without a word would never be missed. */
  private async ping(client: pg.Client): Promise<void> {
    try {
      await client.query('select 1');
      if (client === this.client) this.timer = setTimeout(() => void this.ping(client), PING_MS);
    } catch {
      this.lost(client);
    }
  }

  private lost(client: pg.Client): void {
    if (client !== this.client) return;
    this.client = undefined;
    this.listening = false;
    clearTimeout(this.timer);
    client.end().catch(() => undefined);
    if (this.stopped) return;
    this.timer = setTimeout(() => void this.connect(), this.pauseMs * (0.5 + Math.random() / 2));
    this.pauseMs = Math.min(this.pauseMs * 2, LONGEST_PAUSE_MS);
  }
}
