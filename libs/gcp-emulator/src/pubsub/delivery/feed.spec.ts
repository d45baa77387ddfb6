import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Backlog } from '../store/backlog.js';
import type { BacklogMessage } from '../store/backlog.js';
import { Database } from '../store/database.js';
import { Subscriptions } from '../store/subscriptions.js';
import type { Subscription } from '../store/subscriptions.js';
import { Topics } from '../store/topics.js';
import type { Topic } from '../store/topics.js';
import { Dispatcher } from './dispatcher.js';
import type { Consumer } from './feed.js';

/** Real: the database file and everything above it. Fake: the consumers and the clock. */
describe('Feed', () => {
  const message = { data: Buffer.from('x'), attributes: '{}', orderingKey: '', size: 1 };
  const now = () => 1_000_000_000_000;
  let dataDir: string;
  let database: Database;
  let dispatcher: Dispatcher;
  let topic: Topic;
  let subscription: Subscription;

  beforeEach(() => {
    dataDir = mkdtempSync(path.join(tmpdir(), 'pubsub-feed-'));
    database = Database.open(dataDir);
    const topics = new Topics(database);
    const subscriptions = new Subscriptions(database, topics, now);
    topic = topics.create({ name: 'projects/p/topics/events' });
    subscription = subscriptions.create({ name: 'projects/p/subscriptions/reader', topic: topic.name });
    const onError = (error: unknown) => {
      throw error;
    };
    const backlog = new Backlog(database);
    dispatcher = new Dispatcher({ database, backlog, topics, subscriptions, now, onError });
  });
  afterEach(() => {
    database.close();
    rmSync(dataDir, { recursive: true });
  });

  function consumer(limits: Partial<Consumer> = {}) {
    const received: BacklogMessage[] = [];
    return {
      received,
      leaseMs: 10_000,
      maxMessages: Infinity,
      maxBytes: Infinity,
      ready: () => true,
      deliver: (batch: readonly BacklogMessage[]) => void received.push(...batch),
      end: () => undefined,
      ...limits,
    };
  }

  it('stays within a consumer’s limit when woken during a delivery', async () => {
    const feed = dispatcher.feed(subscription);
    await dispatcher.publish(topic, [message]);
    const limited = consumer({ maxMessages: 1 });
    feed.join(limited);
    // In the same transaction: the delivery of the first message, then a publish that wakes the feed again.
    await dispatcher.publish(topic, [message]);
    await feed.wake();
    expect(limited.received).toHaveLength(1);
  });

  it('delivers a backlog of many pages, each message once, in equal shares', async () => {
    const feed = dispatcher.feed(subscription);
    for (let n = 0; n < 5; n++)
      await dispatcher.publish(
        topic,
        Array.from({ length: 700 }, () => message),
      );
    const consumers = [consumer(), consumer()];
    for (const each of consumers) feed.join(each);
    const received = () => consumers.flatMap((each) => each.received);
    while (received().length < 3500) await feed.wake();
    await feed.wake();
    expect(new Set(received().map(({ id }) => id)).size).toBe(3500);
    expect(received()).toHaveLength(3500);
    for (const each of consumers) expect(each.received).toHaveLength(1750);
  });

  it('delivers nothing to a consumer that is not ready or has left', async () => {
    const feed = dispatcher.feed(subscription);
    const busy = consumer({ ready: () => false });
    const removed = consumer();
    feed.join(busy);
    feed.join(removed)();
    const free = consumer();
    feed.join(free);
    await dispatcher.publish(topic, [message, message]);
    await feed.wake();
    expect([busy, removed, free].map(({ received }) => received.length)).toEqual([0, 0, 2]);
  });

  it('delivers nothing after it has ended', async () => {
    const feed = dispatcher.feed(subscription);
    await dispatcher.publish(topic, [message]);
    const late = consumer();
    feed.join(late);
    dispatcher.deleteSubscription(subscription);
    await feed.wake();
    await database.submit(() => undefined);
    expect(late.received).toEqual([]);
  });
});
