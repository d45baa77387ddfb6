import { Backlog } from '../store/backlog.js';
import type { Database } from '../store/database.js';
import { notFound, shuttingDown } from '../errors.js';
import { Feed } from './feed.js';
import type { NewMessage } from '../rpc/messages.js';
import type { Subscription, Subscriptions } from '../store/subscriptions.js';
import type { Topic, Topics } from '../store/topics.js';

/** Dependencies of a {@link Dispatcher}. */
export interface DispatcherParts {
  readonly database: Database;
  readonly backlog: Backlog;
  readonly topics: Topics;
  readonly subscriptions: Subscriptions;
  readonly now: () => number;
  readonly onError: (error: unknown) => void;
}

/** Stores published messages for each subscription of the topic, and wakes the feeds that have consumers. */
export class Dispatcher {
  private readonly feeds = new Map<Subscription, Feed>();
  private closed = false;

  constructor(private readonly parts: DispatcherParts) {}

  /** Stores messages and resolves with their ids once they are on disk. */
  publish(topic: Topic, messages: readonly NewMessage[]): Promise<number[]> {
    const { database, topics } = this.parts;
    return database.submit(() => {
      if (topics.find(topic.name) !== topic) throw notFound(topic.name);
      return this.store(topic, messages);
    });
  }

  /**
   * Returns the feed of a subscription and creates it on first use.
   * @throws {RpcError} UNAVAILABLE once closed
   */
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

  /** Releases expired leases and delivers messages that have become due. Called at a fixed interval. */
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

  /** Must run inside a transaction. */
  private store(topic: Topic, messages: readonly NewMessage[]): number[] {
    const { backlog, subscriptions, now } = this.parts;
    const receivers = [...subscriptions.ofTopic(topic)];
    const ids = receivers.map(({ id }) => id);
    const messageIds = backlog.publish(ids, messages, now());
    for (const receiver of receivers) void this.feeds.get(receiver)?.wake();
    return messageIds;
  }
}
