import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import type pg from 'pg';
import { Database } from './database.js';

const MIN_BACKOFF_MS = 250;
const MAX_BACKOFF_MS = 10_000;
const PING_MS = 10_000;

/** Receives the notifications of one channel. */
export interface NotificationListener {
  /** Called with the payload of each notification. */
  readonly notified: (payload: string) => void;
  /** Called after each connect, because notifications of the time before it are lost. */
  readonly connected: () => void;
  /** Called when the connection is lost. */
  readonly disconnected?: () => void;
}

/**
 * Notifications of PostgreSQL (https://www.postgresql.org/docs/current/sql-listen.html) for all channels of this process,
 * over one dedicated connection that reconnects without limit. A notification is a hint that may be late or lost, so a
 * listener also reads the state in the database at intervals. Without listeners there is no connection.
 */
@Injectable()
export class Notifications implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(Notifications.name);
  private readonly listeners = new Map<string, NotificationListener[]>();
  private client: pg.Client | undefined;
  private timer: NodeJS.Timeout | undefined;
  private backoffMs = MIN_BACKOFF_MS;
  private stopped = false;
  /** Whether the connection is open and receives notifications. */
  isListening = false;

  constructor(private readonly database: Database) {}

  onApplicationBootstrap(): void {
    if (this.listeners.size > 0) void this.connect();
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.client?.end().catch(() => undefined);
  }

  /**
   * Adds a listener. Call it before the application has started, for example in a constructor.
   * @param channel a constant identifier, which becomes part of a statement
   * @example notifications.listen('albums', { notified: (id) => this.covers.delete(id), connected: () => this.covers.clear() });
   */
  listen(channel: string, listener: NotificationListener): void {
    this.listeners.set(channel, [...(this.listeners.get(channel) ?? []), listener]);
  }

  private async connect(): Promise<void> {
    const client = this.database.dedicated('stowage feed');
    this.client = client;
    client.once('end', () => this.reconnect(client));
    client.on('error', (err) => {
      this.logger.warn({ err }, 'notification connection lost');
      this.reconnect(client);
    });
    client.on('notification', ({ channel, payload = '' }) => {
      for (const { notified } of this.listeners.get(channel) ?? []) notified(payload);
    });
    try {
      await client.connect();
      await client.query([...this.listeners.keys()].map((channel) => `listen ${channel}`).join('; '));
      this.isListening = true;
      this.backoffMs = MIN_BACKOFF_MS;
      for (const { connected } of [...this.listeners.values()].flat()) connected();
      this.timer = setTimeout(() => void this.ping(client), PING_MS);
    } catch (err) {
      this.logger.warn({ err }, 'notification connection failed');
      this.reconnect(client);
    }
  }

  /** Detects a dead peer: without traffic, a connection that broke silently would never report an error. */
  private async ping(client: pg.Client): Promise<void> {
    try {
      await client.query('select 1');
      if (client === this.client) this.timer = setTimeout(() => void this.ping(client), PING_MS);
    } catch {
      this.reconnect(client);
    }
  }

  private reconnect(client: pg.Client): void {
    if (client !== this.client) return;
    const wasListening = this.isListening;
    this.client = undefined;
    this.isListening = false;
    if (wasListening) for (const { disconnected } of [...this.listeners.values()].flat()) disconnected?.();
    clearTimeout(this.timer);
    client.end().catch(() => undefined);
    if (this.stopped) return;
    this.timer = setTimeout(() => void this.connect(), this.backoffMs * (0.5 + Math.random() / 2));
    this.backoffMs = Math.min(this.backoffMs * 2, MAX_BACKOFF_MS);
  }
}
