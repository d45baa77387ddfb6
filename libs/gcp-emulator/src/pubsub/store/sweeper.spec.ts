import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Dispatcher } from '../delivery/dispatcher.js';
import { eventually } from '../testing/harness.js';
import { Backlog } from './backlog.js';
import { Database } from './database.js';
import { Subscriptions } from './subscriptions.js';
import { Sweeper } from './sweeper.js';
import { Topics } from './topics.js';

/** Real: the database file and everything above it. Fake: the clock. */
describe('Sweeper', () => {
  const message = { data: Buffer.from('x'), attributes: '{}', orderingKey: '', size: 1 };
  const names = { topic: 'projects/p/topics/events', subscription: 'projects/p/subscriptions/reader' };
  let time = 1_000_000_000_000;
  let dataDir: string;
  let emulator: ReturnType<typeof open>;

  function open() {
    const database = Database.open(dataDir);
    const backlog = new Backlog(database);
    const topics = new Topics(database);
    const now = () => time;
    const subscriptions = new Subscriptions(database, topics, now);
    const onError = (error: unknown) => {
      throw error;
    };
    const dispatcher = new Dispatcher({ database, backlog, topics, subscriptions, now, onError });
    const sweeper = new Sweeper({ database, backlog, subscriptions, dispatcher, onError });
    const count = (table: string) => Number(database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n);
    return { database, topics, subscriptions, dispatcher, sweeper, count };
  }

  beforeEach(() => {
    dataDir = mkdtempSync(path.join(tmpdir(), 'pubsub-sweeper-'));
    emulator = open();
  });
  afterEach(() => {
    emulator.database.close();
    rmSync(dataDir, { recursive: true });
  });

  it('drops only messages beyond retention, even more than one batch', async () => {
    const { topics, subscriptions, dispatcher, sweeper, count } = emulator;
    const topic = topics.create({ name: names.topic });
    const messageRetentionDuration = { seconds: 3600 };
    subscriptions.create({ name: names.subscription, topic: topic.name, messageRetentionDuration });
    await dispatcher.publish(
      topic,
      Array.from({ length: 1300 }, () => message),
    );
    time += 1_800_000;
    await dispatcher.publish(topic, [message, message]);
    sweeper.tick(time);
    await eventually(() => sweeper.idle);
    expect(count('deliveries')).toBe(1302);

    time += 1_800_001;
    sweeper.tick(time);
    await eventually(() => sweeper.idle);
    expect([count('deliveries'), count('messages')]).toEqual([2, 2]);
  });

  it('clears a deleted subscription, even more than one batch, and keeps messages that another needs', async () => {
    const { topics, subscriptions, dispatcher, sweeper, count } = emulator;
    const topic = topics.create({ name: names.topic });
    const deleted = subscriptions.create({ name: names.subscription, topic: topic.name });
    await dispatcher.publish(
      topic,
      Array.from({ length: 1300 }, () => message),
    );
    subscriptions.create({ name: `${names.subscription}-2`, topic: topic.name });
    await dispatcher.publish(topic, [message]);
    dispatcher.deleteSubscription(deleted);

    time += 60_000;
    sweeper.tick(time);
    await eventually(() => sweeper.idle);
    expect([count('deliveries'), count('messages'), count('subscriptions')]).toEqual([1, 1, 1]);
  });

  it('sweeps once a minute', async () => {
    const { topics, subscriptions, dispatcher, sweeper, count } = emulator;
    const topic = topics.create({ name: names.topic });
    sweeper.tick(time);
    await eventually(() => sweeper.idle);
    const deleted = subscriptions.create({ name: names.subscription, topic: topic.name });
    await dispatcher.publish(topic, [message]);
    dispatcher.deleteSubscription(deleted);
    sweeper.tick(time + 59_999);
    expect(sweeper.idle).toBe(true);
    sweeper.tick(time + 60_000);
    await eventually(() => sweeper.idle);
    expect(count('messages')).toBe(0);
  });
});
