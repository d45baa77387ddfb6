import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Bucket } from '@google-cloud/storage';
import { Harness, until } from './gcs.harness.js';

interface Published {
  topic: string;
  attributes: Record<string, string>;
  data: Buffer;
}

// Real: the emulator, its disk, the official client. Pub/Sub is a function that tests can make fail.
let harness: Harness;
let bucket: Bucket;
let published: Published[];
let attempts: number;
let failing: (topic: string) => boolean;

const TOPIC = 'projects/test/topics/uploads';

const publish = (topic: string, { data, attributes }: Omit<Published, 'topic'>) => {
  attempts++;
  if (failing(topic)) return Promise.reject(new Error('Pub/Sub is down'));
  published.push({ topic, data, attributes });
  return Promise.resolve();
};

beforeEach(async () => {
  published = [];
  attempts = 0;
  failing = () => false;
  harness = await Harness.start({ publish });
  [bucket] = await harness.storage.createBucket('events');
});
afterEach(() => harness.stop());

const save = (name: string, data = 'x') => bucket.file(name).save(data, { resumable: false });
const waitForEvents = (count: number) => until(() => published.length >= count);
const generationOf = async (name: string) => String((await bucket.file(name).getMetadata())[0].generation);

describe('notification configs', () => {
  it('are created, listed, read and deleted', async () => {
    const [made] = await bucket.createNotification(TOPIC, {
      eventTypes: ['OBJECT_FINALIZE'],
      objectNamePrefix: 'in/',
      payloadFormat: 'NONE',
      customAttributes: { a: 'b' },
    });
    const [metadata] = await bucket.notification(made.id ?? '').getMetadata();
    expect(metadata).toMatchObject({
      id: made.id,
      topic: `//pubsub.googleapis.com/${TOPIC}`,
      event_types: ['OBJECT_FINALIZE'],
      object_name_prefix: 'in/',
      payload_format: 'NONE',
      custom_attributes: { a: 'b' },
    });
    expect((await bucket.getNotifications())[0].map(({ id }) => id)).toEqual([made.id]);
    await made.delete();
    expect((await bucket.getNotifications())[0]).toEqual([]);
    await expect(made.getMetadata()).rejects.toMatchObject({ code: 404 });
  });

  it.each([
    ['a malformed topic', { topic: 'uploads' }],
    [
      'an event that does not exist',
      { topic: `//pubsub.googleapis.com/${TOPIC}`, event_types: ['OBJECT_EATEN'] },
    ],
    [
      'attributes that are not text',
      { topic: `//pubsub.googleapis.com/${TOPIC}`, custom_attributes: { a: 1 } },
    ],
  ])('reject %s', async (_, body) => {
    const url = `${harness.emulator.url}/storage/v1/b/events/notificationConfigs`;
    expect((await fetch(url, { method: 'POST', body: JSON.stringify(body) })).status).toBe(400);
  });
});

describe('events', () => {
  it('report a finalized object', async () => {
    const [config] = await bucket.createNotification(TOPIC, { customAttributes: { stage: 'test' } });
    await save('a/ü.txt', 'hello');
    await waitForEvents(1);
    const generation = await generationOf('a/ü.txt');
    const [event] = published;
    expect(event?.topic).toBe(TOPIC);
    expect(event?.attributes).toEqual({
      notificationConfig: `projects/_/buckets/events/notificationConfigs/${config.id}`,
      eventType: 'OBJECT_FINALIZE',
      payloadFormat: 'JSON_API_V1',
      bucketId: 'events',
      objectId: 'a/ü.txt',
      objectGeneration: generation,
      eventTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as unknown,
      stage: 'test',
    });
    expect(JSON.parse(String(event?.data))).toMatchObject({
      name: 'a/ü.txt',
      generation,
      size: '5',
      kind: 'storage#object',
    });
  });

  it('report both sides of an overwrite, metadata updates and deletions', async () => {
    await bucket.createNotification(TOPIC);
    await save('a');
    const first = await generationOf('a');
    await save('a');
    const second = await generationOf('a');
    await bucket.file('a').setMetadata({ contentType: 'text/plain' });
    await bucket.file('a').delete();
    await waitForEvents(5);
    const facts = published.map(({ attributes: a }) => [
      a.eventType,
      a.objectGeneration,
      a.overwroteGeneration ?? a.overwrittenByGeneration,
    ]);
    expect(facts).toEqual([
      ['OBJECT_FINALIZE', first, undefined],
      ['OBJECT_DELETE', first, second],
      ['OBJECT_FINALIZE', second, first],
      ['OBJECT_METADATA_UPDATE', second, undefined],
      ['OBJECT_DELETE', second, undefined],
    ]);
    expect(JSON.parse(String(published[4]?.data))).toHaveProperty('timeDeleted');
  });

  it('match the event types, the prefix and the format of each config', async () => {
    await bucket.createNotification(TOPIC, {
      eventTypes: ['OBJECT_DELETE'],
      objectNamePrefix: 'in/',
      payloadFormat: 'NONE',
    });
    for (const name of ['in/a', 'out/a']) {
      await save(name);
      await bucket.file(name).delete();
    }
    await bucket.createNotification('projects/test/topics/last');
    await save('last');
    await waitForEvents(2);
    expect(published.map(({ topic, attributes }) => [topic, attributes.objectId])).toEqual([
      [TOPIC, 'in/a'],
      ['projects/test/topics/last', 'last'],
    ]);
    expect(published[0]?.data).toHaveLength(0);
  });

  it('are published for a copy', async () => {
    await save('a');
    await bucket.createNotification(TOPIC);
    await bucket.file('a').copy(bucket.file('b'));
    await waitForEvents(1);
    expect(published[0]?.attributes).toMatchObject({ eventType: 'OBJECT_FINALIZE', objectId: 'b' });
  });

  it('are not published for a rejected upload', async () => {
    await bucket.createNotification(TOPIC);
    const refused = bucket
      .file('a')
      .save('x', { resumable: false, preconditionOpts: { ifGenerationMatch: 7 } });
    await expect(refused).rejects.toMatchObject({ code: 412 });
    await save('b');
    await waitForEvents(1);
    expect(published[0]?.attributes.objectId).toBe('b');
  });
});

describe('the outbox', () => {
  const topicOf = (n: number) => `projects/test/topics/t${n}`;

  it('retries a failing topic and serves the others meanwhile', async () => {
    for (const n of [1, 2]) await bucket.createNotification(topicOf(n));
    failing = (topic) => topic === topicOf(1);
    for (const name of ['a', 'b', 'c']) await save(name);
    await waitForEvents(3);
    expect(new Set(published.map(({ topic }) => topic))).toEqual(new Set([topicOf(2)]));
    const before = attempts;
    await until(() => attempts >= before + 3);
    failing = () => false;
    await waitForEvents(6);
    const late = published.filter(({ topic }) => topic === topicOf(1));
    expect(late.map(({ attributes }) => attributes.objectId)).toEqual(['a', 'b', 'c']);
  });

  it('publishes only pending events after a restart', async () => {
    await bucket.createNotification(TOPIC);
    await save('before');
    await waitForEvents(1);
    failing = () => true;
    await save('during');
    await until(() => attempts >= 2);
    failing = () => false;
    published = [];
    await harness.restart();
    await waitForEvents(1);
    await harness.storage.bucket('events').file('after').save('x', { resumable: false });
    await waitForEvents(2);
    expect(published.map(({ attributes }) => attributes.objectId)).toEqual(['during', 'after']);
  });
});
