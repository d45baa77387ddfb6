import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Message, protos } from '@google-cloud/pubsub';
import { eventually, PubSubHarness } from '../../../libs/gcp-emulator/src/pubsub/testing/harness.js';

type Response = protos.google.pubsub.v1.IStreamingPullResponse;
type Request = protos.google.pubsub.v1.IStreamingPullRequest;

/** Real: the emulator with its file, the official clients over gRPC. Simulated: the emulator's clock. */
describe('Pub/Sub emulator: streaming pull', () => {
  let harness: PubSubHarness;

  beforeEach(async () => {
    harness = await PubSubHarness.start();
  });
  afterEach(async () => {
    await harness.close();
    expect(harness.errors).toEqual([]);
  });

  /** Opens a stream of the generated client and records its frames. */
  function openStream(first: Request) {
    const stream = harness.subscriberClient().streamingPull();
    const frames: Response[] = [];
    let failure: { code?: number; details?: string } | undefined;
    stream.on('data', (frame: Response) => frames.push(frame));
    stream.on('error', (error: { code?: number; details?: string }) => (failure = error));
    stream.write({ streamAckDeadlineSeconds: 10, protocolVersion: 1, ...first });
    return {
      frames,
      failure: () => failure,
      messages: () => frames.flatMap(({ receivedMessages }) => receivedMessages ?? []),
      send: (frame: Request) => stream.write(frame),
      cancel: () => stream.cancel(),
      end: () => stream.end(),
    };
  }

  it('delivers 500 messages to the five streams of a subscriber, each once', async () => {
    const [topic, subscription] = await harness.topic('events', 'reader');
    const received: string[] = [];
    subscription.on('message', (message: Message) => {
      received.push(message.data.toString());
      message.ack();
    });
    const expected = Array.from({ length: 500 }, (_, n) => `message ${n}`);
    await Promise.all(expected.map((text) => topic.publishMessage({ data: Buffer.from(text) })));
    await eventually(() => received.length >= 500);
    await subscription.close();
    expect(received.sort()).toEqual(expected.sort());
    harness.time += 3_600_000;
    expect(await harness.pull(harness.subscriberClient(), subscription.name)).toEqual([]);
  });

  it('spreads messages over several streams', async () => {
    const [topic, { name }] = await harness.topic('events', 'reader');
    const streams = [openStream({ subscription: name }), openStream({ subscription: name })];
    streams.forEach(({ send }) => send({}));
    await eventually(() => streams.every(({ frames }) => frames.length > 0));
    for (const text of ['a', 'b', 'c', 'd']) await topic.publishMessage({ data: Buffer.from(text) });
    await eventually(() => streams.every(({ messages }) => messages().length === 2));
  });

  it('redelivers a message after a nack', async () => {
    const [topic, subscription] = await harness.topic('events', 'reader');
    const delivered: string[] = [];
    subscription.on('message', (message: Message) => {
      delivered.push(message.id);
      if (delivered.length < 3) message.nack();
      else message.ack();
    });
    const id = await topic.publishMessage({ data: Buffer.from('x') });
    await eventually(() => delivered.length === 3);
    await subscription.close();
    expect(delivered).toEqual([id, id, id]);
  });

  it('sends no more than maxOutstandingMessages until one is acknowledged', async () => {
    const [topic, { name }] = await harness.topic('events', 'reader');
    const stream = openStream({ subscription: name, maxOutstandingMessages: 3 });
    for (let n = 0; n < 5; n++) await topic.publishMessage({ data: Buffer.from(`${n}`) });
    stream.send({});
    await eventually(() => stream.messages().length === 3 && stream.frames.some(isKeepAlive));

    const [first] = stream.messages();
    stream.send({ ackIds: [first?.ackId ?? ''] });
    await eventually(() => stream.messages().length === 4);
    const left = await harness.pull(harness.subscriberClient(), name);
    expect(left.map(({ text }) => text)).toEqual(['4']);
    expect(stream.messages()).toHaveLength(4);
  });

  it('sends no more while maxOutstandingBytes are unacknowledged, not counting expired leases', async () => {
    const [topic, { name }] = await harness.topic('events', 'reader');
    const stream = openStream({ subscription: name, maxOutstandingBytes: 1500 });
    for (let n = 0; n < 4; n++) await topic.publishMessage({ data: Buffer.alloc(1000, `${n}`) });
    await eventually(() => stream.messages().length === 2);
    const left = await harness.pull(harness.subscriberClient(), name);
    expect(left).toHaveLength(2);

    harness.time += 10_000;
    await eventually(() => stream.messages().length === 4);
  });

  it('answers an empty frame with an empty response with the subscription properties', async () => {
    const [, { name }] = await harness.topic('events', 'reader');
    const stream = openStream({ subscription: name });
    stream.send({});
    await eventually(() => stream.frames.length === 1);
    expect(stream.frames[0]).toMatchObject({
      receivedMessages: [],
      subscriptionProperties: { exactlyOnceDeliveryEnabled: false, messageOrderingEnabled: false },
    });
  });

  it('leases for the deadline of the stream and keeps leases when the stream closes', async () => {
    const [topic, { name }] = await harness.topic('events', 'reader');
    const stream = openStream({ subscription: name, streamAckDeadlineSeconds: 30 });
    await topic.publishMessage({ data: Buffer.from('x') });
    await eventually(() => stream.messages().length === 1);
    stream.cancel();

    const client = harness.subscriberClient();
    harness.time += 29_999;
    expect(await harness.pull(client, name)).toEqual([]);
    harness.time += 1;
    expect(await harness.pull(client, name)).toHaveLength(1);
  });

  it('accepts acknowledgements and deadlines on the stream', async () => {
    const [topic, { name }] = await harness.topic('events', 'reader');
    const stream = openStream({ subscription: name });
    await topic.publishMessage({ data: Buffer.from('x') });
    await eventually(() => stream.messages().length === 1);
    const ackIds = stream.messages().map(({ ackId }) => ackId ?? '');
    stream.send({ modifyDeadlineAckIds: ackIds, modifyDeadlineSeconds: [0] });
    await eventually(() => stream.messages().length === 2);
    stream.send({ ackIds: [stream.messages()[1]?.ackId ?? ''] });
    stream.send({});
    await eventually(() => stream.frames.some(isKeepAlive));
    harness.time += 600_000;
    expect(await harness.pull(harness.subscriberClient(), name)).toEqual([]);
  });

  it.each<[string, Request, number]>([
    ['no subscription', { subscription: '' }, 3],
    ['an unknown subscription', { subscription: 'projects/test-project/subscriptions/missing' }, 5],
    ['a deadline under 10 seconds', { streamAckDeadlineSeconds: 5 }, 3],
  ])('rejects a first frame with %s', async (_, first, code) => {
    const [, { name }] = await harness.topic('events', 'reader');
    const stream = openStream({ subscription: name, ...first });
    await eventually(() => stream.failure()?.code === code);
  });

  it.each<[string, Request]>([
    ['flow control', { maxOutstandingMessages: 5 }],
    ['an invalid ack id', { ackIds: ['nonsense'] }],
    ['lists of different length', { modifyDeadlineAckIds: ['a'], modifyDeadlineSeconds: [] }],
  ])('ends the stream on a later frame with %s', async (_, frame) => {
    const [, { name }] = await harness.topic('events', 'reader');
    const stream = openStream({ subscription: name });
    stream.send(frame);
    await eventually(() => stream.failure()?.code === 3);
  });

  it('ends with OK when the client ends', async () => {
    const [, { name }] = await harness.topic('events', 'reader');
    const stream = harness.subscriberClient().streamingPull();
    const ended = new Promise((resolve) => stream.on('status', resolve));
    stream.on('data', () => undefined);
    stream.write({ subscription: name, streamAckDeadlineSeconds: 10 });
    stream.end();
    expect(await ended).toMatchObject({ code: 0 });
  });

  it('ends the streams of a deleted subscription with NOT_FOUND', async () => {
    const [, subscription] = await harness.topic('events', 'reader');
    const errors: { code?: number }[] = [];
    const listening = harness.client().subscription('reader');
    listening.on('message', () => undefined);
    listening.on('error', (error: { code?: number }) => errors.push(error));
    const stream = openStream({ subscription: subscription.name });
    stream.send({});
    await eventually(() => stream.frames.length === 1);
    await subscription.delete();
    await eventually(() => stream.failure()?.code === 5 && errors.some(({ code }) => code === 5));
  });

  it('ends streams and waiting pulls with UNAVAILABLE when it closes', async () => {
    const [, { name: subscription }] = await harness.topic('events', 'reader');
    const stream = openStream({ subscription });
    stream.send({});
    await eventually(() => stream.frames.length === 1);
    const client = harness.subscriberClient();
    const pulling = client
      .pull({ subscription, maxMessages: 1 }, { retry: null })
      .catch((error: unknown) => error);
    await harness.pull(client, subscription);
    await harness.emulator.close();
    expect(await pulling).toMatchObject({ code: 14, details: 'The Pub/Sub emulator is shutting down.' });
    await eventually(() => stream.failure()?.details === 'The Pub/Sub emulator is shutting down.');
    expect(stream.failure()?.code).toBe(14);
  });

  it('lets a live subscriber reconnect when the server restarts on its port', async () => {
    const [topic, subscription] = await harness.topic('events', 'reader');
    const received: string[] = [];
    subscription.on('message', (message: Message) => {
      received.push(message.data.toString());
      message.ack();
    });
    const errors: unknown[] = [];
    subscription.on('error', (error) => errors.push(error));
    await topic.publishMessage({ data: Buffer.from('before') });
    await eventually(() => received.includes('before'));
    await harness.restart();
    await topic.publishMessage({ data: Buffer.from('after') });
    await eventually(() => received.includes('after'));
    await subscription.close();
    expect({ received, errors }).toEqual({ received: ['before', 'after'], errors: [] });
  });

  it('wakes a waiting pull', async () => {
    const [topic, { name: subscription }] = await harness.topic('events', 'reader');
    const waiting = harness.subscriberClient().pull({ subscription, maxMessages: 10 });
    await topic.publishMessage({ data: Buffer.from('x') });
    const [{ receivedMessages }] = await waiting;
    expect(receivedMessages).toHaveLength(1);
  });

  it('delivers a message of the maximum size', async () => {
    const [topic, subscription] = await harness.topic('events', 'reader');
    const sizes: number[] = [];
    subscription.on('message', (message: Message) => {
      sizes.push(message.length);
      message.ack();
    });
    await topic.publishMessage({ data: Buffer.alloc(10_000_000, 1) });
    await topic.publishMessage({ data: Buffer.alloc(9_999_999, 1) });
    await eventually(() => sizes.length === 2);
    await subscription.close();
  });
});

const isKeepAlive = ({ receivedMessages }: Response) => receivedMessages?.length === 0;
