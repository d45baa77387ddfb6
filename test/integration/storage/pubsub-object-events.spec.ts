import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { v1 } from '@google-cloud/pubsub';
import type { EventVerdict } from '#libs/domain';
import type { ObjectFinalized, UndeliverableEvent } from '#libs/storage';
import { PubSubObjectEvents } from '#libs/storage/gcs';
import { Emulators, PROJECT } from '../../../libs/testing/src/emulators.js';

const TOPIC = 'events';
const BUCKET = 'incoming';
const DEAD_LETTERS = 'dead-letters';

/** Real: the Pub/Sub emulator with its file, the official client over gRPC. Messages are published by hand. */
describe('PubSubObjectEvents', () => {
  let emulators: Emulators;
  let events: PubSubObjectEvents;
  const warnings: string[] = [];
  const received: (ObjectFinalized | UndeliverableEvent)[] = [];
  let verdict: () => EventVerdict | Promise<EventVerdict>;
  let wake = () => {};

  const take = async (event: ObjectFinalized | UndeliverableEvent) => {
    received.push(event);
    wake();
    return verdict();
  };
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise<void>((resolve) => (wake = resolve));
  };
  const keys = () => received.map((event) => ('problem' in event ? event.problem : event.key));

  const begin = async (pauseMs = { first: 10, longest: 50 }) => {
    events = new PubSubObjectEvents({
      projectId: PROJECT,
      emulator: emulators.pubsubAddress,
      subscription: TOPIC,
      incomingBucket: BUCKET,
      deadLetterSubscription: DEAD_LETTERS,
      pauseMs,
      logger: {
        warn: (details, message) => {
          warnings.push(`${message} ${JSON.stringify(details)}`);
          wake();
        },
      },
    });
    await events.start({ finalized: take, undeliverable: take });
  };
  const publish = async (attributes: Record<string, string> = {}) => {
    const key = randomUUID();
    const notification = {
      eventType: 'OBJECT_FINALIZE',
      bucketId: BUCKET,
      objectId: key,
      objectGeneration: '1',
    };
    const message = { attributes: { ...notification, ...attributes }, data: Buffer.from('{}') };
    await emulators.pubsub.topic(TOPIC).publishMessage(message);
    return key;
  };
  const createSubscription = () =>
    emulators.pubsub.topic(TOPIC).createSubscription(TOPIC, { ackDeadlineSeconds: 60 });

  beforeEach(async () => {
    warnings.length = 0;
    received.length = 0;
    verdict = () => 'ack';
    emulators = await Emulators.start();
    await emulators.pubsub.createTopic(TOPIC);
    await emulators.pubsub.createTopic(DEAD_LETTERS);
    await emulators.pubsub.topic(DEAD_LETTERS).createSubscription(DEAD_LETTERS);
  });
  afterEach(async () => {
    await events.stop(1000);
    await emulators[Symbol.asyncDispose]();
  });

  it('starts when the server becomes available and resumes when it returns', async () => {
    await createSubscription();
    const first = await publish();
    let restart = await emulators.stopPubSub();
    await begin();
    await until(() => warnings.length > 0);
    await restart();
    await until(() => keys().includes(first));

    restart = await emulators.stopPubSub();
    const before = warnings.length;
    await until(() => warnings.length > before);
    await restart();
    const second = await publish();
    await until(() => keys().includes(second));
  });

  it('starts when the subscription is created', async () => {
    await begin();
    await until(() => warnings.length > 1);
    await createSubscription();
    const key = await publish();
    await until(() => keys().includes(key));
  });

  it('logs a failed acknowledgement and continues', async () => {
    await createSubscription();
    const gate = Promise.withResolvers<EventVerdict>();
    verdict = () => gate.promise;
    await begin();
    const key = await publish();
    await until(() => keys().includes(key));
    await emulators.pubsub.subscription(TOPIC).delete();
    gate.resolve('ack');
    await until(() => warnings.some((warning) => warning.includes('Failed to \\"ack\\"')));
    await createSubscription();
    const next = await publish();
    await until(() => keys().includes(next));
  });

  it('stops while the server is down', async () => {
    await createSubscription();
    verdict = () => new Promise<never>(() => undefined);
    await begin();
    const key = await publish();
    await until(() => keys().includes(key));
    const restart = await emulators.stopPubSub();
    await events.stop(100);
    await restart();
  });

  it('acknowledges events of other types without delivering them', async () => {
    await createSubscription();
    await begin();
    await publish({ eventType: 'OBJECT_DELETE' });
    await publish({ eventType: 'OBJECT_METADATA_UPDATE', bucketId: 'other' });
    await publish({ bucketId: 'other' });
    const key = await publish();
    await until(() => received.length === 2);
    expect(keys().sort()).toEqual([key, 'malformed: the event names another bucket'].sort());
    await events.stop(1000);

    const client = new v1.SubscriberClient({
      servicePath: '127.0.0.1',
      port: Number(emulators.pubsubAddress.split(':')[1]),
      sslCreds: (await emulators.pubsub.getClientConfig()).sslCreds,
      projectId: PROJECT,
      clientOptions: { universeDomain: 'googleapis.com' },
    });
    const [left] = await client.pull({
      subscription: `projects/${PROJECT}/subscriptions/${TOPIC}`,
      maxMessages: 10,
      returnImmediately: true,
    });
    await client.close();
    expect(left.receivedMessages).toEqual([]);
  });

  it('delivers dead letters of Pub/Sub with their source and delivery count', async () => {
    const deadLetterTopic = emulators.pubsub.topic(DEAD_LETTERS).name;
    await emulators.pubsub
      .topic(TOPIC)
      .createSubscription(TOPIC, { deadLetterPolicy: { deadLetterTopic, maxDeliveryAttempts: 5 } });
    verdict = () => (received.some((event) => 'problem' in event) ? 'ack' : 'nack');
    await begin();
    const key = await publish();
    await until(() => received.some((event) => 'problem' in event));
    expect(keys().slice(0, 5)).toEqual(Array.from({ length: 5 }, () => key));
    expect(received.at(-1)).toEqual({
      messageId: expect.stringMatching(/^dead-letter\/./),
      problem: `given up after 5 deliveries to ${TOPIC}`,
      attempts: 5,
      key,
      payload: expect.stringContaining(key),
    });
  });

  it('does not trust the attributes of a forged dead letter', async () => {
    await createSubscription();
    await begin();
    await emulators.pubsub.topic(DEAD_LETTERS).publishMessage({
      attributes: {
        CloudPubSubDeadLetterSourceDeliveryCount: '1e99',
        CloudPubSubDeadLetterSourceSubscription: 'line\nbreak\0',
      },
    });
    await until(() => received.length === 1);
    expect(received[0]).toMatchObject({
      problem:
        'given up after 1 deliveries to a subscription without a name; malformed: an attribute is missing',
      attempts: 1,
      key: null,
    });
  });

  it('pauses without pulling, longer each time, until an event is acknowledged', async () => {
    await createSubscription();
    const asked: number[] = [];
    verdict = () => {
      asked.push(performance.now());
      return asked.length === 4 ? 'ack' : 'pause';
    };
    await begin({ first: 100, longest: 300 });
    await publish();
    await until(() => asked.length === 4);
    const gaps = asked.slice(1).map((at, index) => at - (asked[index] ?? 0));
    // Each pause is at least half of 100, 200 and 300 ms.
    [50, 100, 150].forEach((least, index) => expect(gaps[index]).toBeGreaterThanOrEqual(least));
  });

  it('limits the number of concurrent deliveries', async () => {
    await createSubscription();
    let running = 0;
    let most = 0;
    events = new PubSubObjectEvents({
      projectId: PROJECT,
      emulator: emulators.pubsubAddress,
      subscription: TOPIC,
      incomingBucket: BUCKET,
      maxMessages: 3,
      logger: { warn: () => undefined },
    });
    verdict = async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 5));
      running--;
      return 'ack' as const;
    };
    await events.start({ finalized: take, undeliverable: take });
    const published = await Promise.all(Array.from({ length: 20 }, () => publish()));
    await until(() => published.every((key) => keys().includes(key)));
    expect(most).toBeLessThanOrEqual(3);
  });
});
