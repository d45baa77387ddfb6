import type { DatabaseSync } from 'node:sqlite';
import { objectResource } from '../resources.js';
import { prepared } from './database.js';
import type { StoredObject } from './objects.js';

/** Event types of GCS that the emulator emits. https://docs.cloud.google.com/storage/docs/pubsub-notifications */
export type EventType = 'OBJECT_FINALIZE' | 'OBJECT_METADATA_UPDATE' | 'OBJECT_DELETE';

/** A bucket's notification config, with the fields of the JSON API. `topic` is `projects/P/topics/T`. */
export interface NotificationConfig {
  id: string;
  topic: string;
  payloadFormat: 'JSON_API_V1' | 'NONE';
  eventTypes?: string[];
  objectNamePrefix?: string;
  customAttributes?: Record<string, string>;
}

/** An event that is not yet published. */
export interface OutboxEntry {
  id: number;
  topic: string;
  attributes: Record<string, string>;
  data: Buffer;
}

interface EntryRow {
  id: number;
  topic: string;
  attributes: string;
  data: Uint8Array;
}

/** The real service also drops an undelivered event after 7 days. */
const UNDELIVERABLE_AFTER_MS = 7 * 24 * 60 * 60 * 1000;

/** Notification configs and their events, which are written in the transaction of the change and published later. */
export class Outbox {
  private listener: () => void = () => {};

  constructor(
    private readonly db: DatabaseSync,
    private readonly now: () => Date,
    private readonly baseUrl: () => string,
  ) {}

  configs(bucket: string): NotificationConfig[] {
    const rows = prepared(this.db, 'SELECT id, settings FROM notifications WHERE bucket = ? ORDER BY id').all(
      bucket,
    );
    return rows.map((row) => ({
      ...(JSON.parse(String(row.settings)) as Omit<NotificationConfig, 'id'>),
      id: String(row.id),
    }));
  }

  addConfig(bucket: string, settings: Omit<NotificationConfig, 'id'>): NotificationConfig {
    const row = prepared(
      this.db,
      `INSERT INTO notifications
         SELECT ?1, 1 + coalesce(max(id), 0), ?2 FROM notifications WHERE bucket = ?1 RETURNING id`,
    ).get(bucket, JSON.stringify(settings));
    return { ...settings, id: String(row?.id) };
  }

  removeConfig(bucket: string, id: string): boolean {
    const { changes } = prepared(this.db, 'DELETE FROM notifications WHERE bucket = ? AND id = ?').run(
      bucket,
      id,
    );
    return Number(changes) > 0;
  }

  /** Adds an entry for every config that matches the event. Call it inside the transaction of the change itself. */
  enqueue(
    type: EventType,
    object: StoredObject,
    generations: { overwroteGeneration?: number; overwrittenByGeneration?: number } = {},
  ): void {
    const now = this.now();
    for (const config of this.configs(object.bucket)) {
      if (config.eventTypes !== undefined && !config.eventTypes.includes(type)) continue;
      if (!object.name.startsWith(config.objectNamePrefix ?? '')) continue;
      const attributes: Record<string, string> = {
        ...config.customAttributes,
        notificationConfig: `projects/_/buckets/${object.bucket}/notificationConfigs/${config.id}`,
        eventType: type,
        payloadFormat: config.payloadFormat,
        bucketId: object.bucket,
        objectId: object.name,
        objectGeneration: String(object.generation),
        eventTime: now.toISOString(),
      };
      for (const [name, generation] of Object.entries(generations)) {
        if (generation !== undefined) attributes[name] = String(generation);
      }
      prepared(this.db, 'INSERT INTO outbox (topic, attributes, data, enqueued_at) VALUES (?, ?, ?, ?)').run(
        config.topic,
        JSON.stringify(attributes),
        this.payload(config, type, object, now),
        now.getTime(),
      );
    }
  }

  private payload(config: NotificationConfig, type: EventType, object: StoredObject, now: Date): Buffer {
    if (config.payloadFormat === 'NONE') return Buffer.alloc(0);
    const deleted = type === 'OBJECT_DELETE' ? { timeDeleted: now.toISOString() } : {};
    return Buffer.from(JSON.stringify({ ...objectResource(object, this.baseUrl()), ...deleted }));
  }

  /** Returns the oldest entries, without those of the excluded topics and ids. */
  pending(limit: number, exceptTopics: readonly string[], exceptIds: readonly number[] = []): OutboxEntry[] {
    const rows = prepared(
      this.db,
      `SELECT id, topic, attributes, data FROM outbox
         WHERE topic NOT IN (SELECT value FROM json_each(?)) AND id NOT IN (SELECT value FROM json_each(?))
         ORDER BY id LIMIT ?`,
    ).all(JSON.stringify(exceptTopics), JSON.stringify(exceptIds), limit) as unknown as EntryRow[];
    return rows.map((row) => ({
      id: row.id,
      topic: row.topic,
      attributes: JSON.parse(row.attributes) as Record<string, string>,
      data: Buffer.from(row.data),
    }));
  }

  remove(ids: readonly number[]): void {
    prepared(this.db, 'DELETE FROM outbox WHERE id IN (SELECT value FROM json_each(?))').run(
      JSON.stringify(ids),
    );
  }

  dropUndeliverable(): void {
    prepared(this.db, 'DELETE FROM outbox WHERE enqueued_at < ?').run(
      this.now().getTime() - UNDELIVERABLE_AFTER_MS,
    );
  }

  onEnqueued(listener: () => void): void {
    this.listener = listener;
  }

  /** Notifies the publisher. Call it after the transaction is on disk. */
  wake(): void {
    this.listener();
  }
}
