import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { protos, v1 } from '@google-cloud/pubsub';
import { startPubSubEmulator } from '../../../libs/gcp-emulator/src/pubsub/index.js';
import { PubSubHarness } from '../../../libs/gcp-emulator/src/pubsub/testing/harness.js';

const ALREADY_EXISTS = 6;
const NOT_FOUND = 5;
const INVALID_ARGUMENT = 3;
const UNIMPLEMENTED = 12;

/** `expect.stringMatching`, which returns `any`, as `unknown`. */
const matching = (details: RegExp): unknown => expect.stringMatching(details);

type WireSubscription = protos.google.pubsub.v1.ISubscription;

/** Real: the emulator with its file, the official clients over gRPC. */
describe('Pub/Sub emulator: topics and subscriptions', () => {
  let harness: PubSubHarness;
  let subscriber: v1.SubscriberClient;
  let publisher: v1.PublisherClient;
  const topic = 'projects/test-project/topics/events';
  const name = 'projects/test-project/subscriptions/reader';

  beforeEach(async () => {
    harness = await PubSubHarness.start();
    subscriber = harness.subscriberClient();
    publisher = harness.publisherClient();
  });
  afterEach(async () => {
    await harness.close();
    expect(harness.errors).toEqual([]);
  });

  it('creates, reads, updates, lists and deletes topics, also across a restart', async () => {
    await publisher.createTopic({ name: topic, labels: { a: '1' } });
    await expect(publisher.createTopic({ name: topic })).rejects.toMatchObject({
      code: ALREADY_EXISTS,
      details: 'Resource already exists in the project (resource=events).',
    });
    await publisher.updateTopic({
      topic: { name: topic, labels: { b: '2' }, messageRetentionDuration: { seconds: 900 } },
      updateMask: { paths: ['labels', 'message_retention_duration'] },
    });
    await harness.restart();
    const [read] = await publisher.getTopic({ topic });
    expect(read).toMatchObject({
      name: topic,
      labels: { b: '2' },
      messageRetentionDuration: { seconds: '900' },
    });
    for (const id of ['aaa', 'zzz'])
      await publisher.createTopic({ name: `projects/test-project/topics/${id}` });
    await publisher.createTopic({ name: 'projects/other/topics/events' });
    const request = { project: 'projects/test-project', pageSize: 2 };
    const [first, next] = await publisher.listTopics(request, { autoPaginate: false });
    const [second, end] = await publisher.listTopics({ ...request, ...next }, { autoPaginate: false });
    expect([first, second].map((page) => page.map(({ name }) => name?.split('/').at(-1)))).toEqual([
      ['aaa', 'events'],
      ['zzz'],
    ]);
    expect(end).toBeNull();
    await publisher.deleteTopic({ topic });
    await expect(publisher.getTopic({ topic })).rejects.toMatchObject({ code: NOT_FOUND });
  });

  it('fills in the defaults of the service and returns the whole subscription', async () => {
    await publisher.createTopic({ name: topic });
    await subscriber.createSubscription({ name, topic, retryPolicy: {} });
    await harness.restart();
    const [read] = await subscriber.getSubscription({ subscription: name });
    expect(read).toMatchObject({
      name,
      topic,
      ackDeadlineSeconds: 10,
      messageRetentionDuration: { seconds: '604800' },
      expirationPolicy: { ttl: { seconds: '2678400' } },
      retryPolicy: { minimumBackoff: { seconds: '10' }, maximumBackoff: { seconds: '600' } },
      deadLetterPolicy: null,
      enableMessageOrdering: false,
      enableExactlyOnceDelivery: false,
      state: 'ACTIVE',
    });
  });

  it('updates only the fields in the mask', async () => {
    await publisher.createTopic({ name: topic });
    await subscriber.createSubscription({ name, topic, ackDeadlineSeconds: 30, labels: { a: '1' } });
    const [updated] = await subscriber.updateSubscription({
      subscription: {
        name,
        ackDeadlineSeconds: 60,
        labels: { ignored: 'x' },
        deadLetterPolicy: { deadLetterTopic: topic },
        expirationPolicy: {},
      },
      updateMask: { paths: ['ack_deadline_seconds', 'dead_letter_policy', 'expirationPolicy'] },
    });
    expect(updated).toMatchObject({
      ackDeadlineSeconds: 60,
      labels: { a: '1' },
      deadLetterPolicy: { deadLetterTopic: topic, maxDeliveryAttempts: 5 },
      expirationPolicy: { ttl: null },
    });
    for (const paths of [[], ['topic'], ['enable_message_ordering']]) {
      const request = { subscription: { name }, updateMask: { paths } };
      await expect(subscriber.updateSubscription(request)).rejects.toMatchObject({ code: INVALID_ARGUMENT });
    }
  });

  it('lists subscriptions by project and by topic, and keeps them when the topic is deleted', async () => {
    await publisher.createTopic({ name: topic });
    const names = ['first', 'second', 'third'].map((id) => `projects/test-project/subscriptions/${id}`);
    for (const name of names) await subscriber.createSubscription({ name, topic });
    const [all] = await subscriber.listSubscriptions({ project: 'projects/test-project' });
    expect(all.map(({ name }) => name)).toEqual(names);
    const [ofTopic] = await publisher.listTopicSubscriptions({ topic });
    expect(ofTopic).toEqual(names);

    await publisher.deleteTopic({ topic });
    await harness.restart();
    const [orphan] = await subscriber.getSubscription({ subscription: names[0] });
    expect(orphan.topic).toBe('_deleted-topic_');
    await publisher.createTopic({ name: topic });
    const [attached] = await publisher.listTopicSubscriptions({ topic });
    expect(attached).toEqual([]);
  });

  it.each<[string, WireSubscription, number, RegExp]>([
    ['an unknown topic', { topic: 'projects/test-project/topics/missing' }, NOT_FOUND, /resource=missing/],
    ['an invalid name', { name: 'reader' }, INVALID_ARGUMENT, /Invalid resource name given \(name=reader\)/],
    [
      'a reserved name',
      { name: 'projects/p/subscriptions/google' },
      INVALID_ARGUMENT,
      /Invalid resource name/,
    ],
    ['a short deadline', { ackDeadlineSeconds: 9 }, INVALID_ARGUMENT, /passed 9 .* minimum value is 10\./],
    [
      'a long deadline',
      { ackDeadlineSeconds: 601 },
      INVALID_ARGUMENT,
      /passed 601 .* maximum value is 600\./,
    ],
    ['a short retention', { messageRetentionDuration: { seconds: 599 } }, INVALID_ARGUMENT, /retention/],
    [
      'too few delivery attempts',
      { deadLetterPolicy: { deadLetterTopic: topic, maxDeliveryAttempts: 4 } },
      INVALID_ARGUMENT,
      /max_delivery_attempts/,
    ],
    [
      'an unknown dead-letter topic',
      { deadLetterPolicy: { deadLetterTopic: 'projects/p/topics/missing' } },
      NOT_FOUND,
      /missing/,
    ],
    [
      'a long backoff',
      { retryPolicy: { maximumBackoff: { seconds: 601 } } },
      INVALID_ARGUMENT,
      /maximum_backoff/,
    ],
    [
      'a short expiry',
      { expirationPolicy: { ttl: { seconds: 3600 } } },
      INVALID_ARGUMENT,
      /expiration_policy/,
    ],
    ['a filter', { filter: 'attributes:a' }, UNIMPLEMENTED, /filter/],
    ['ordering', { enableMessageOrdering: true }, UNIMPLEMENTED, /ordered/],
    ['exactly-once', { enableExactlyOnceDelivery: true }, UNIMPLEMENTED, /exactly-once/],
    ['push', { pushConfig: { pushEndpoint: 'https://example.test/' } }, UNIMPLEMENTED, /push/],
  ])('rejects a subscription with %s', async (_, wire, code, details) => {
    await publisher.createTopic({ name: topic });
    const refused = subscriber.createSubscription({ name, topic, ...wire });
    await expect(refused).rejects.toMatchObject({ code, details: matching(details) });
  });

  it('answers UNIMPLEMENTED for unsupported methods', async () => {
    const seek = subscriber.seek({ subscription: name, time: { seconds: 1 } });
    await expect(seek).rejects.toMatchObject({ code: UNIMPLEMENTED });
  });

  it('rejects messages to a missing topic and messages beyond a limit', async () => {
    const data = Buffer.from('x');
    await expect(publisher.publish({ topic, messages: [{ data }] })).rejects.toMatchObject({
      code: NOT_FOUND,
      details: 'Resource not found (resource=events).',
    });
    await publisher.createTopic({ name: topic });
    const cases: [protos.google.pubsub.v1.IPubsubMessage[], RegExp][] = [
      [[], /message_count/],
      [[{}], /non-empty data, or at least one attribute/],
      [Array.from({ length: 1001 }, () => ({ data })), /passed 1001 .* maximum value is 1000\./],
      [[{ data: Buffer.alloc(10_000_001) }], /request_size .* maximum value is 10000000\./],
      [[{ data, attributes: { ['k'.repeat(257)]: 'v' } }], /attribute key/],
      [[{ data, attributes: { k: 'v'.repeat(1025) } }], /attribute value/],
      [
        [
          { data, orderingKey: 'a' },
          { data, orderingKey: 'b' },
        ],
        /ordering key/,
      ],
    ];
    for (const [messages, details] of cases) {
      const refused = publisher.publish({ topic, messages });
      await expect(refused).rejects.toMatchObject({
        code: INVALID_ARGUMENT,
        details: matching(details),
      });
    }
  });

  it('assigns every message a unique id, also across restarts and without subscriptions', async () => {
    await publisher.createTopic({ name: topic });
    const publish = async () => {
      const [{ messageIds }] = await publisher.publish({ topic, messages: [{ data: Buffer.from('x') }] });
      return messageIds ?? [];
    };
    const before = await Promise.all([publish(), publish()]);
    await harness.restart();
    const after = await publish();
    expect(new Set([...before, after].flat()).size).toBe(3);
  });

  it('rejects invalid ack ids and an empty list of them', async () => {
    await publisher.createTopic({ name: topic });
    await subscriber.createSubscription({ name, topic });
    for (const ackIds of [[], ['nonsense']]) {
      const refused = subscriber.acknowledge({ subscription: name, ackIds });
      await expect(refused).rejects.toMatchObject({ code: INVALID_ARGUMENT });
    }
  });

  it('reports in one sentence that the port is in use', async () => {
    const { port, address } = harness.emulator;
    const dataDir = path.join(harness.dataDir, 'second');
    await expect(startPubSubEmulator({ port, dataDir })).rejects.toThrow(
      `The Pub/Sub emulator cannot listen on ${address}: the port is already in use.`,
    );
    const other = await startPubSubEmulator({ port: 0, dataDir });
    await other.close();
  });

  it('reports in one sentence that another emulator uses the directory', async () => {
    const { dataDir } = harness;
    await expect(startPubSubEmulator({ port: 0, dataDir })).rejects.toThrow(
      /is in use by another process\.$/,
    );
  });

  it.each([
    ['is not a database', () => Buffer.from('nonsense'.repeat(1000))],
    ['is damaged inside', (file: Buffer) => file.fill(0xff, 4096, 12_288)],
  ])('reports in one sentence that the file %s', async (_, damage) => {
    await publisher.createTopic({ name: topic });
    await harness.emulator.close();
    const file = path.join(harness.dataDir, 'pubsub.sqlite');
    await writeFile(file, damage(await readFile(file)));
    await expect(startPubSubEmulator({ port: 0, dataDir: harness.dataDir })).rejects.toThrow(
      /^The Pub\/Sub backlog .*pubsub\.sqlite cannot be read \(.*\); move it away to start with an empty one\.$/,
    );
  });
});
