import { once } from 'node:events';
import { cp, rm } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { PubSub } from '@google-cloud/pubsub';
import type { Message, v1 } from '@google-cloud/pubsub';
import { startPubSubEmulator } from '../../../libs/gcp-emulator/src/pubsub/index.js';
import { eventually, PubSubHarness } from '../../../libs/gcp-emulator/src/pubsub/testing/harness.js';

/** Real: the emulator with its file, the official clients over gRPC. Simulated: the emulator's clock. */
describe('Pub/Sub emulator: delivery', () => {
  let harness: PubSubHarness;
  let client: v1.SubscriberClient;

  beforeEach(async () => {
    harness = await PubSubHarness.start();
    client = harness.subscriberClient();
  });
  afterEach(async () => {
    await harness.close();
    expect(harness.errors).toEqual([]);
  });

  const texts = (messages: { text: string }[]) => messages.map(({ text }) => text).sort();
  const nack = (subscription: string, ackIds: string[]) =>
    client.modifyAckDeadline({ subscription, ackIds, ackDeadlineSeconds: 0 });

  it('delivers data and attributes and never redelivers once acknowledged, even after a restart', async () => {
    const [topic, { name }] = await harness.topic('events', 'reader');
    const messageId = await topic.publishMessage({
      data: Buffer.from('one'),
      attributes: { kind: 'a', ü: 'ö' },
    });

    const [message, ...more] = await harness.pull(client, name);
    expect(more).toEqual([]);
    expect(message).toMatchObject({
      id: messageId,
      text: 'one',
      attributes: { kind: 'a', ü: 'ö' },
      attempt: 0,
    });
    await client.acknowledge({ subscription: name, ackIds: [message?.ackId ?? ''] });

    harness.time += 3_600_000;
    expect(await harness.pull(client, name)).toEqual([]);
    await harness.restart();
    expect(await harness.pull(client, name)).toEqual([]);
  });

  it('delivers a message that has only attributes', async () => {
    const [topic, { name }] = await harness.topic('events', 'reader');
    await topic.publishMessage({ attributes: { only: 'this' } });
    expect(await harness.pull(client, name)).toMatchObject([{ text: '', attributes: { only: 'this' } }]);
  });

  it('delivers every message to both subscriptions and deletes it once both have acknowledged', async () => {
    const [topic, { name: first }] = await harness.topic('events', 'first');
    const [{ name: second }] = await topic.createSubscription('second');
    await topic.publishMessage({ data: Buffer.from('x') });

    const held = { [first]: await harness.pull(client, first), [second]: await harness.pull(client, second) };
    const ackIds = (subscription: string) => (held[subscription] ?? []).map(({ ackId }) => ackId);
    for (const subscription of [first, second]) expect(texts(held[subscription] ?? [])).toEqual(['x']);

    // An ack id is valid only for its own subscription.
    await client.acknowledge({ subscription: second, ackIds: ackIds(first) });
    await nack(second, ackIds(second));
    held[second] = await harness.pull(client, second);
    expect(texts(held[second])).toEqual(['x']);

    await client.acknowledge({ subscription: first, ackIds: ackIds(first) });
    expect(await harness.pull(client, first)).toEqual([]);
    await client.acknowledge({ subscription: second, ackIds: ackIds(second) });
    await harness.emulator.close();
    expect(rowsOf(harness.dataDir, 'messages')).toBe(0);
  });

  it('keeps the backlog, the leases and their ack ids across a restart', async () => {
    const [topic, { name }] = await harness.topic('events', 'reader');
    await Promise.all(['a', 'b', 'c'].map((text) => topic.publishMessage({ data: Buffer.from(text) })));
    const [held] = await harness.pull(client, name, 1);

    await harness.restart();
    const rest = await harness.pull(client, name);
    expect(texts([...rest, held ?? { text: '' }])).toEqual(['a', 'b', 'c']);
    await client.acknowledge({ subscription: name, ackIds: [held?.ackId ?? ''] });

    harness.time += 10_000;
    expect(texts(await harness.pull(client, name))).toEqual(texts(rest));
  });

  it('stores a message on disk before Publish returns', async () => {
    const [topic, { name }] = await harness.topic('events', 'reader');
    const id = await topic.publishMessage({ data: Buffer.from('x') });
    // Copies the files that a crash at this moment would leave.
    const dataDir = `${harness.dataDir}-crashed`;
    await cp(harness.dataDir, dataDir, { recursive: true });
    const { address, close } = await startPubSubEmulator({ port: 0, dataDir, now: () => harness.time });
    const survivor = new PubSub({ projectId: harness.project, apiEndpoint: address, emulatorMode: true });
    const subscription = survivor.subscription(name);
    const [message] = (await once(subscription, 'message')) as [Message];
    expect(message.id).toBe(id);
    message.ack();
    await subscription.close();
    await survivor.close();
    await close();
    await rm(dataDir, { recursive: true });
  });

  it('redelivers immediately after a nack if there is no retry policy', async () => {
    const [topic, { name }] = await harness.topic('events', 'reader');
    await topic.publishMessage({ data: Buffer.from('x') });
    const [first] = await harness.pull(client, name);
    expect(await harness.pull(client, name)).toEqual([]);

    await nack(name, [first?.ackId ?? '']);
    // A client may extend a lease after its nack; the extension has no effect.
    await client.modifyAckDeadline({
      subscription: name,
      ackIds: [first?.ackId ?? ''],
      ackDeadlineSeconds: 60,
    });
    await client.acknowledge({ subscription: name, ackIds: [first?.ackId ?? ''] });
    const [again] = await harness.pull(client, name);
    expect(again).toMatchObject({ id: first?.id, text: 'x' });
    expect(again?.ackId).not.toBe(first?.ackId);
  });

  it('redelivers to the millisecond when the lease expires and ignores the old ack id', async () => {
    const [topic, { name }] = await harness.topic('events', 'reader', { ackDeadlineSeconds: 20 });
    await topic.publishMessage({ data: Buffer.from('x') });
    const [first] = await harness.pull(client, name);

    harness.time += 19_999;
    expect(await harness.pull(client, name)).toEqual([]);
    harness.time += 1;
    const [again] = await harness.pull(client, name);
    expect(again?.text).toBe('x');

    await client.acknowledge({ subscription: name, ackIds: [first?.ackId ?? ''] });
    await nack(name, [first?.ackId ?? '']);
    expect(await harness.pull(client, name)).toEqual([]);
    harness.time += 20_000;
    expect(texts(await harness.pull(client, name))).toEqual(['x']);
  });

  it('extends a lease', async () => {
    const [topic, { name }] = await harness.topic('events', 'reader');
    await topic.publishMessage({ data: Buffer.from('x') });
    const [first] = await harness.pull(client, name);
    await client.modifyAckDeadline({
      subscription: name,
      ackIds: [first?.ackId ?? ''],
      ackDeadlineSeconds: 600,
    });
    harness.time += 599_999;
    expect(await harness.pull(client, name)).toEqual([]);
    harness.time += 1;
    expect(texts(await harness.pull(client, name))).toEqual(['x']);
  });

  it('doubles the backoff between attempts up to the maximum of the retry policy', async () => {
    const retryPolicy = { minimumBackoff: { seconds: 10 }, maximumBackoff: { seconds: 25 } };
    const [topic, { name }] = await harness.topic('events', 'reader', { retryPolicy });
    await topic.publishMessage({ data: Buffer.from('x') });

    for (const backoffMs of [10_000, 20_000, 25_000, 25_000]) {
      const [message] = await harness.pull(client, name);
      expect(message?.text).toBe('x');
      await nack(name, [message?.ackId ?? '']);
      harness.time += backoffMs - 1;
      expect(await harness.pull(client, name)).toEqual([]);
      harness.time += 1;
    }
  });

  it('moves a message to the dead-letter topic after its last attempt, with attributes of its source', async () => {
    const [deadTopic, { name: dead }] = await harness.topic('dead', 'undertaker');
    const deadLetterPolicy = { deadLetterTopic: deadTopic.name, maxDeliveryAttempts: 5 };
    const [topic, { name }] = await harness.topic('events', 'reader', { deadLetterPolicy });
    const messageId = await topic.publishMessage({ data: Buffer.from('x'), attributes: { kind: 'a' } });
    const publishedAt = new Date(harness.time).toISOString().replace('Z', '+00:00');

    for (const attempt of [1, 2, 3, 4, 5]) {
      const [message] = await harness.pull(client, name);
      expect(message?.attempt).toBe(attempt);
      expect(await harness.pull(client, dead)).toEqual([]);
      await nack(name, [message?.ackId ?? '']);
    }
    await eventually(async () => {
      const [message] = await harness.pull(client, dead);
      if (!message) return false;
      expect(message).toMatchObject({ text: 'x', attempt: 0 });
      expect(message.id).not.toBe(messageId);
      expect(message.attributes).toEqual({
        kind: 'a',
        CloudPubSubDeadLetterSourceDeliveryCount: '5',
        CloudPubSubDeadLetterSourceSubscription: 'reader',
        CloudPubSubDeadLetterSourceSubscriptionProject: 'test-project',
        CloudPubSubDeadLetterSourceTopicPublishTime: publishedAt,
      });
      return true;
    });
    harness.time += 600_000;
    expect(await harness.pull(client, name)).toEqual([]);
  });

  it('dead-letters at the last nack without the backoff of the retry policy', async () => {
    const [deadTopic, { name: dead }] = await harness.topic('dead', 'undertaker');
    const [topic, { name }] = await harness.topic('events', 'reader', {
      deadLetterPolicy: { deadLetterTopic: deadTopic.name },
      retryPolicy: { minimumBackoff: { seconds: 60 }, maximumBackoff: { seconds: 60 } },
    });
    await topic.publishMessage({ data: Buffer.from('x') });
    for (let attempt = 1; attempt <= 5; attempt++) {
      const [message] = await harness.pull(client, name);
      expect(message?.attempt).toBe(attempt);
      await nack(name, [message?.ackId ?? '']);
      if (attempt < 5) harness.time += 60_000;
    }
    await eventually(async () => (await harness.pull(client, dead)).length === 1);
  });

  it('dead-letters after expired leases without a connected client', async () => {
    const [deadTopic, { name: dead }] = await harness.topic('dead', 'undertaker');
    const deadLetterPolicy = { deadLetterTopic: deadTopic.name };
    const [topic, { name }] = await harness.topic('events', 'reader', { deadLetterPolicy });
    await topic.publishMessage({ data: Buffer.from('x') });
    for (let attempt = 1; attempt <= 5; attempt++) {
      expect(await harness.pull(client, name)).toMatchObject([{ attempt }]);
      harness.time += 10_000;
    }
    await eventually(async () => (await harness.pull(client, dead)).length === 1);
  });

  it('keeps redelivering while the dead-letter topic does not exist', async () => {
    const [deadTopic] = await harness.topic('dead', 'undertaker');
    const deadLetterPolicy = { deadLetterTopic: deadTopic.name };
    const [topic, { name }] = await harness.topic('events', 'reader', { deadLetterPolicy });
    await deadTopic.delete();
    await topic.publishMessage({ data: Buffer.from('x') });
    for (let attempt = 1; attempt <= 7; attempt++) {
      expect(await harness.pull(client, name)).toMatchObject([{ attempt }]);
      harness.time += 10_000;
    }
  });

  it('drops messages beyond their retention', async () => {
    const [topic, { name }] = await harness.topic('events', 'reader', {
      messageRetentionDuration: { seconds: 3600 },
    });
    await topic.publishMessage({ data: Buffer.from('old') });
    harness.time += 3_500_000;
    await topic.publishMessage({ data: Buffer.from('young') });
    harness.time += 200_000;
    await eventually(async () => {
      const messages = await harness.pull(client, name);
      if (messages.length)
        await nack(
          name,
          messages.map(({ ackId }) => ackId),
        );
      return texts(messages).join() === 'young';
    });
  });

  it('starts a recreated subscription empty and ignores ack ids of the old one', async () => {
    const [topic, subscription] = await harness.topic('events', 'reader');
    await topic.publishMessage({ data: Buffer.from('old') });
    const [old] = await harness.pull(client, subscription.name);
    await subscription.delete();
    await topic.createSubscription('reader');
    expect(await harness.pull(client, subscription.name)).toEqual([]);
    await topic.publishMessage({ data: Buffer.from('new') });
    await client.acknowledge({ subscription: subscription.name, ackIds: [old?.ackId ?? ''] });
    expect(texts(await harness.pull(client, subscription.name))).toEqual(['new']);
  });

  it('deletes a subscription that was unused for the time of its expiration policy', async () => {
    const [, subscription] = await harness.topic('events', 'reader', {
      expirationPolicy: { ttl: { seconds: 86_400 } },
    });
    const [, kept] = await harness.topic('others', 'keeper', { expirationPolicy: {} });
    harness.time += 86_399_000;
    await subscription.get();
    harness.time += 400 * 86_400_000;
    await eventually(async () => !(await subscription.exists())[0]);
    expect(await kept.exists()).toEqual([true]);
  });
});

function rowsOf(dataDir: string, table: string): number {
  const database = new DatabaseSync(`${dataDir}/pubsub.sqlite`);
  const row = database.prepare(`SELECT count(*) AS n FROM ${table}`).get();
  database.close();
  return Number(row?.n);
}
