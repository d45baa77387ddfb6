import type { protos } from '@google-cloud/pubsub';
import type { Database } from './database.js';
import { alreadyExists, invalidArgument, notFound } from '../errors.js';
import { checkName, DELETED_TOPIC } from '../names.js';
import { readSettings, settingsToWire, UPDATABLE } from './subscription-settings.js';
import type { SubscriptionSettings } from './subscription-settings.js';
import type { Topic, Topics } from './topics.js';
import { maskPaths, msToDuration } from '../rpc/wire.js';

type WireSubscription = protos.google.pubsub.v1.ISubscription;

/** A subscription as held in memory. */
export interface Subscription {
  readonly id: number;
  readonly name: string;
  /** Null once the topic is deleted. */
  topic: Topic | null;
  settings: SubscriptionSettings;
  /** Time of last use in milliseconds, for the expiration policy. Not stored, since a restart counts as use. */
  activeAt: number;
}

/** All subscriptions. They are few, so all are held in memory, and every change is written to the database. */
export class Subscriptions {
  private readonly byName = new Map<string, Subscription>();
  private readonly byTopic = new Map<Topic, Set<Subscription>>();

  constructor(
    private readonly database: Database,
    private readonly topics: Topics,
    private readonly now: () => number,
  ) {
    const rows = database.prepare(
      `SELECT s.id, s.name, s.settings, t.name AS topic
       FROM subscriptions s LEFT JOIN topics t ON t.id = s.topic_id WHERE s.name IS NOT NULL`,
    );
    for (const row of rows.all()) {
      this.add({
        id: Number(row.id),
        name: String(row.name),
        topic: (typeof row.topic === 'string' && topics.find(row.topic)) || null,
        settings: JSON.parse(String(row.settings)) as SubscriptionSettings,
        activeAt: now(),
      });
    }
  }

  [Symbol.iterator](): Iterator<Subscription> {
    return this.byName.values();
  }

  /** @throws {RpcError} INVALID_ARGUMENT for an invalid name, NOT_FOUND */
  get(name: string | null | undefined): Subscription {
    const subscription = this.byName.get(checkName('subscriptions', name));
    if (!subscription) throw notFound(name ?? '');
    return subscription;
  }

  ofProject(project: string): Subscription[] {
    return [...this.byName.values()].filter(({ name }) => name.startsWith(`${project}/subscriptions/`));
  }

  ofTopic(topic: Topic): ReadonlySet<Subscription> {
    return this.byTopic.get(topic) ?? new Set();
  }

  create(wire: WireSubscription): Subscription {
    const name = checkName('subscriptions', wire.name, 'name');
    const topic = this.topics.get(wire.topic);
    const settings = this.read(wire);
    if (this.byName.has(name)) throw alreadyExists(name);
    const { lastInsertRowid } = this.database.transaction(() =>
      this.database
        .prepare('INSERT INTO subscriptions (name, topic_id, settings) VALUES (?, ?, ?)')
        .run(name, topic.id, JSON.stringify(settings)),
    );
    return this.add({ id: Number(lastInsertRowid), name, topic, settings, activeAt: this.now() });
  }

  update({
    subscription: wire,
    updateMask,
  }: protos.google.pubsub.v1.IUpdateSubscriptionRequest): Subscription {
    const subscription = this.get(wire?.name);
    const paths = maskPaths(updateMask);
    if (!wire || paths.length === 0) {
      throw invalidArgument(
        'The update_mask in the UpdateSubscriptionRequest must be set, and must contain a non-empty paths list.',
      );
    }
    const requested = this.read(wire);
    const settings: Record<string, unknown> = { ...subscription.settings };
    for (const path of paths) {
      const field = UPDATABLE[path];
      if (field === undefined)
        throw invalidArgument(
          `Invalid update_mask provided in the UpdateSubscriptionRequest: ${path} cannot be updated.`,
        );
      if (field) settings[field] = requested[field];
    }
    this.database.transaction(() =>
      this.database
        .prepare('UPDATE subscriptions SET settings = ? WHERE id = ?')
        .run(JSON.stringify(settings), subscription.id),
    );
    subscription.settings = settings as unknown as SubscriptionSettings;
    return subscription;
  }

  /** Removes the subscription at once; the sweeper deletes its backlog in batches. */
  delete(subscription: Subscription): void {
    this.database.transaction(() =>
      this.database
        .prepare('UPDATE subscriptions SET name = NULL, topic_id = NULL WHERE id = ?')
        .run(subscription.id),
    );
    this.byName.delete(subscription.name);
    if (subscription.topic) this.byTopic.get(subscription.topic)?.delete(subscription);
  }

  /** Detaches the subscriptions of a deleted topic: they stay and receive no new messages. */
  detachFrom(topic: Topic): void {
    for (const subscription of this.ofTopic(topic)) subscription.topic = null;
    this.byTopic.delete(topic);
  }

  private add(subscription: Subscription): Subscription {
    const { name, topic } = subscription;
    this.byName.set(name, subscription);
    if (topic) this.byTopic.set(topic, new Set(this.byTopic.get(topic)).add(subscription));
    return subscription;
  }

  private read(wire: WireSubscription): SubscriptionSettings {
    const settings = readSettings(wire);
    if (settings.deadLetter) this.topics.get(settings.deadLetter.topic);
    return settings;
  }
}

export const subscriptionToWire = ({ name, topic, settings }: Subscription): WireSubscription => ({
  ...settingsToWire(settings),
  name,
  topic: topic?.name ?? DELETED_TOPIC,
  topicMessageRetentionDuration:
    topic && topic.settings.retentionMs !== null ? msToDuration(topic.settings.retentionMs) : null,
});
