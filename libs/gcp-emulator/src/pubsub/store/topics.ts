import type { protos } from '@google-cloud/pubsub';
import type { Database } from './database.js';
import { alreadyExists, checkRange, invalidArgument, notFound, unimplemented } from '../errors.js';
import { checkName } from '../names.js';
import { durationToMs, maskPaths, msToDuration } from '../rpc/wire.js';

type WireTopic = protos.google.pubsub.v1.ITopic;

interface TopicSettings {
  readonly labels: Record<string, string>;
  readonly retentionMs: number | null;
}

/** A topic as held in memory. */
export interface Topic {
  readonly id: number;
  readonly name: string;
  settings: TopicSettings;
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

const UNSUPPORTED: readonly [feature: string, isUsed: (topic: WireTopic) => boolean][] = [
  ['schemas (schema_settings)', (topic) => topic.schemaSettings != null],
  ['customer-managed keys (kms_key_name)', (topic) => Boolean(topic.kmsKeyName)],
  ['ingestion (ingestion_data_source_settings)', (topic) => topic.ingestionDataSourceSettings != null],
  ['message transforms (message_transforms)', (topic) => Boolean(topic.messageTransforms?.length)],
  ['storage policies (message_storage_policy)', (topic) => topic.messageStoragePolicy != null],
];

const FIELDS: Readonly<Record<string, keyof TopicSettings>> = {
  labels: 'labels',
  message_retention_duration: 'retentionMs',
};

/** All topics. They are few, so all are held in memory, and every change is written to the database. */
export class Topics {
  private readonly byName = new Map<string, Topic>();

  constructor(private readonly database: Database) {
    for (const row of database.prepare('SELECT id, name, settings FROM topics').all()) {
      const topic = {
        id: Number(row.id),
        name: String(row.name),
        settings: JSON.parse(String(row.settings)) as TopicSettings,
      };
      this.byName.set(topic.name, topic);
    }
  }

  find(name: string): Topic | undefined {
    return this.byName.get(name);
  }

  /** @throws {RpcError} INVALID_ARGUMENT for an invalid name, NOT_FOUND */
  get(name: string | null | undefined): Topic {
    const topic = this.byName.get(checkName('topics', name));
    if (!topic) throw notFound(name ?? '');
    return topic;
  }

  ofProject(project: string): Topic[] {
    return [...this.byName.values()].filter(({ name }) => name.startsWith(`${project}/topics/`));
  }

  create(wire: WireTopic): Topic {
    const name = checkName('topics', wire.name, 'name');
    const settings = readSettings(wire);
    if (this.byName.has(name)) throw alreadyExists(name);
    const { lastInsertRowid } = this.database.transaction(() =>
      this.database
        .prepare('INSERT INTO topics (name, settings) VALUES (?, ?)')
        .run(name, JSON.stringify(settings)),
    );
    const topic = { id: Number(lastInsertRowid), name, settings };
    this.byName.set(name, topic);
    return topic;
  }

  update({ topic: wire, updateMask }: protos.google.pubsub.v1.IUpdateTopicRequest): Topic {
    const topic = this.get(wire?.name);
    const paths = maskPaths(updateMask);
    if (!wire || paths.length === 0) {
      throw invalidArgument(
        'The update_mask in the UpdateTopicRequest must be set, and must contain a non-empty paths list.',
      );
    }
    const requested = readSettings(wire);
    const settings: Record<string, unknown> = { ...topic.settings };
    for (const path of paths) {
      const field = FIELDS[path];
      if (!field)
        throw invalidArgument(
          `Invalid update_mask provided in the UpdateTopicRequest: ${path} cannot be updated.`,
        );
      settings[field] = requested[field];
    }
    this.database.transaction(() =>
      this.database
        .prepare('UPDATE topics SET settings = ? WHERE id = ?')
        .run(JSON.stringify(settings), topic.id),
    );
    topic.settings = settings as unknown as TopicSettings;
    return topic;
  }

  /** Deletes the topic. Its subscriptions keep their backlog and receive no new messages. */
  delete(name: string | null | undefined): Topic {
    const topic = this.get(name);
    this.database.transaction(() => {
      this.database.prepare('UPDATE subscriptions SET topic_id = NULL WHERE topic_id = ?').run(topic.id);
      this.database.prepare('DELETE FROM topics WHERE id = ?').run(topic.id);
    });
    this.byName.delete(topic.name);
    return topic;
  }
}

function readSettings(wire: WireTopic): TopicSettings {
  for (const [feature, isUsed] of UNSUPPORTED) {
    if (isUsed(wire)) throw unimplemented(feature);
  }
  const retentionMs = wire.messageRetentionDuration ? durationToMs(wire.messageRetentionDuration) : null;
  if (retentionMs !== null) {
    checkRange(
      'message_retention_duration',
      retentionMs / 1000,
      (10 * MINUTE_MS) / 1000,
      (31 * DAY_MS) / 1000,
    );
  }
  return { labels: wire.labels ?? {}, retentionMs };
}

export const topicToWire = ({ name, settings }: Topic): WireTopic => ({
  name,
  labels: settings.labels,
  messageRetentionDuration: settings.retentionMs === null ? null : msToDuration(settings.retentionMs),
  state: 'ACTIVE',
});
