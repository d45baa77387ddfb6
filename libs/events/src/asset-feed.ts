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
  private changed = false;
  private wake: (() => void) | undefined;

  constructor(
    private readonly feed: AssetFeed,
    readonly ids: ReadonlySet<string>,
  ) {}

  /** Called by the feed: one of the assets may have changed. */
  notify(): void {
    this.changed = true;
    this.wake?.();
  }

  /** Returns when one of the assets may have changed since the last call, when it is time to look again, or on abort. */
  async next(signal: AbortSignal): Promise<void> {
    if (!this.changed && !signal.aborted) {
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
    this.changed = false;
  }

  close(): void {
    this.feed.leave(this);
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
    const watch = new Watch(this, new Set(ids));
    for (const id of watch.ids) {
      const others = this.watches.get(id);
      if (others === undefined) this.watches.set(id, new Set([watch]));
      else others.add(watch);
    }
    return watch;
  }

  leave(watch: Watch): void {
    for (const id of watch.ids) {
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
      for (const id of payload.split(' ')) for (const watch of this.watches.get(id) ?? []) watch.notify();
    });
    try {
      await client.connect();
      await client.query(`listen ${CHANNEL}`);
      this.listening = true;
      this.pauseMs = FIRST_PAUSE_MS;
      // Whatever was told meanwhile was not heard.
      for (const watches of this.watches.values()) for (const watch of watches) watch.notify();
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
