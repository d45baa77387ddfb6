import { Backlog } from '../store/backlog.js';
import type { Database } from '../store/database.js';
import { notFound, shuttingDown } from '../errors.js';
import { Feed } from './feed.js';
import type { NewMessage } from '../rpc/messages.js';
import type { Subscription, Subscriptions } from '../store/subscriptions.js';
import type { Topic, Topics } from '../store/topics.js';

export interface DispatcherParts {
  readonly database: Database;
  readonly backlog: Backlog;
  readonly topics: Topics;
  readonly subscriptions: Subscriptions;
  readonly now: () => number;
  readonly onError: (error: unknown) => void;
}

/** From a publish to the subscribers: stores messages for every subscription and wakes those that have consumers. */
export class Dispatcher {
  private readonly feeds = new Map<Subscription, Feed>();
  private closed = false;

  constructor(private readonly parts: DispatcherParts) {}

  /** Answers the message ids once the messages are on disk. */
  publish(topic: Topic, messages: readonly NewMessage[]): Promise<number[]> {
    const { database, topics } = this.parts;
    return database.submit(() => {
      if (topics.find(topic.name) !== topic) throw notFound(topic.name);
      return this.store(topic, messages);
    });
  }

  /** @throws {RpcError} UNAVAILABLE once closed */
  feed(subscription: Subscription): Feed {
    if (this.closed) throw shuttingDown();
    let feed = this.feeds.get(subscription);
    if (!feed) {
      const { database, backlog, topics, now, onError } = this.parts;
      const publish = (topicName: string, messages: readonly NewMessage[]) => {
        const topic = topics.find(topicName);
        if (topic) this.store(topic, messages);
        return topic !== undefined;
      };
      feed = new Feed(subscription, { database, backlog, now, onError, publish });
      this.feeds.set(subscription, feed);
    }
    return feed;
  }

  /** Deletes the subscription and ends its consumers with NOT_FOUND. */
  deleteSubscription(subscription: Subscription): void {
    this.parts.subscriptions.delete(subscription);
    this.feeds.get(subscription)?.end(notFound(subscription.name));
    this.feeds.delete(subscription);
  }

  /** Looks for what has become due by the passing of time. */
  tick(): void {
    for (const subscription of this.parts.subscriptions) {
      const feed = this.feeds.get(subscription);
      if (feed || subscription.settings.deadLetter) this.feed(subscription).tick();
    }
  }

  /** Ends every consumer with the status on which the official clients reconnect. */
  close(): void {
    this.closed = true;
    for (const feed of this.feeds.values()) feed.end(shuttingDown());
    this.feeds.clear();
  }

  /** Inside a transaction. */
  private store(topic: Topic, messages: readonly NewMessage[]): number[] {
    const { backlog, subscriptions, now } = this.parts;
    const receivers = [...subscriptions.ofTopic(topic)];
    const ids = receivers.map(({ id }) => id);
    const messageIds = backlog.publish(ids, messages, now());
    for (const receiver of receivers) void this.feeds.get(receiver)?.wake();
    return messageIds;
  }
}
