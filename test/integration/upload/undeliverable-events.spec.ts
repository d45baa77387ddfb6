import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PinoLogger } from 'nestjs-pino';
import type { UndeliverableEvent } from '#libs/storage';
import { PubSubObjectEvents } from '#libs/storage/gcs';
import { ObjectFinalizedSubscriber } from '../../../libs/upload/src/jobs/object-finalized.subscriber.js';
import { signJwt } from '../../../libs/testing/src/environment.js';
import { Fleet } from '../../support/fleet.js';
import { World } from '../../../libs/testing/src/world.js';
import { NAMES, PROJECT } from '../../../libs/testing/src/emulators.js';
import { LIMIT_MS } from '../../../libs/testing/src/until.js';

const TOPIC = `projects/${PROJECT}/topics/${NAMES.subscription}`;
const DEAD_LETTERS = `${NAMES.subscription}-dead-letter`;

interface Letter {
  readonly id: string;
  readonly source: string;
  readonly assetId: string | null;
  readonly error: string;
  readonly attempts: number;
  readonly payload: string;
  readonly state: string;
}

/** Polls until `check` returns a value, because the change happens in other processes. */
async function eventually<T>(what: string, check: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + LIMIT_MS; ; await delay(50)) {
    const found = await check();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`timed out waiting: ${what}`);
  }
}

/**
 * Real: api and two workers as processes, PostgreSQL, the emulators. Each worker has its own subscription to one topic,
 * so every event is delivered twice.
 */
describe('undeliverable events', () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start({ env: { PUBSUB_DEAD_LETTER_SUBSCRIPTION: DEAD_LETTERS, LOG_LEVEL: 'debug' } });
    await fleet.emulators.pubsub.topic(TOPIC).createSubscription('second');
    await fleet.addWorker({ PUBSUB_SUBSCRIPTION: 'second' });
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  async function asOperator<Data>(query: string): Promise<{ data: Data; errors?: object[] }> {
    const token = await signJwt('1000', { scope: 'stowage.admin' });
    const response = await fleet.apis[0]!.fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query }),
    });
    return (await response.json()) as { data: Data; errors?: object[] };
  }
  async function letters(): Promise<Letter[]> {
    const fields = 'id source assetId error attempts payload state';
    const { data } = await asOperator<{ admin: { deadLetters: { nodes: Letter[] } } }>(
      `{ admin { deadLetters(first: 100) { nodes { ${fields} } } } }`,
    );
    return data.admin.deadLetters.nodes;
  }
  const letterWith = (mark: string) =>
    eventually(`a dead letter with ${mark}`, async () =>
      (await letters()).find(({ payload }) => payload.includes(mark)),
    );
  const decide = (what: 'retry' | 'discard', id: string) =>
    asOperator<Record<string, { state: string }>>(`mutation { ${what}DeadLetter(id: "${id}") { state } }`);

  /** Publishes an event through the emulator's test endpoint, as if storage had sent it. */
  async function forge(attributes: Record<string, string>, data = '{}'): Promise<void> {
    const response = await fetch(`${fleet.emulators.gcs.url}/_emulator/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ topic: TOPIC, attributes, data: Buffer.from(data).toString('base64') }),
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    expect(response.status).toBe(204);
  }
  const event = (objectId: string, more: Record<string, string> = {}) => ({
    eventType: 'OBJECT_FINALIZE',
    bucketId: NAMES.incomingBucket,
    objectId,
    objectGeneration: '1',
    payloadFormat: 'JSON_API_V1',
    ...more,
  });
  /** Publishes to the dead-letter topic as Pub/Sub does. */
  const giveUp = (attributes: Record<string, string>) =>
    fleet.emulators.pubsub.topic(DEAD_LETTERS).publishMessage({
      attributes: {
        ...attributes,
        CloudPubSubDeadLetterSourceDeliveryCount: '100',
        CloudPubSubDeadLetterSourceSubscription: NAMES.subscription,
      },
      data: Buffer.from('{}'),
    });
  const upload = async () => {
    const checksumSha256 = '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824';
    const { requestUpload } = await fleet.query<{ requestUpload: { asset: { id: string } } }>(
      `mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { asset { id } } }`,
      { input: { filename: 'a.txt', mimeType: 'text/plain', sizeBytes: '5', checksumSha256 } },
    );
    return requestUpload.asset.id;
  };
  const statusOf = async (id: string) =>
    (await fleet.query<{ asset: { status: string } }>(`{ asset(id: "${id}") { status } }`)).asset.status;

  it('become one dead letter each although they are delivered twice', async () => {
    await forge({ eventType: 'OBJECT_FINALIZE', mark: 'first' });
    await forge(event('x', { mark: 'second' }), 'not JSON');
    await forge(event('x', { mark: 'third', bucketId: 'content' }));
    const times = (text: RegExp) => fleet.logs.match(text)?.length ?? 0;
    const became = () => times(/event became a dead letter/g);
    await eventually('all events were delivered twice', () =>
      Promise.resolve(times(/event is a dead letter already/g) >= 3 && became() >= 3 ? true : undefined),
    );
    expect(became()).toBe(3);
    const found = await letters();
    expect(found.map(({ error }) => error).sort()).toEqual([
      'malformed: an attribute is missing',
      'malformed: the event names another bucket',
      'malformed: the payload is not JSON',
    ]);
    expect(found.map(({ source, assetId, state }) => [source, assetId, state])).toEqual(
      Array.from({ length: 3 }, () => ['object-events', null, 'OPEN']),
    );
  });

  it('cannot be retried while they are malformed, and can be discarded', async () => {
    await forge({ eventType: 'OBJECT_FINALIZE', mark: 'hopeless' });
    const { id } = await letterWith('hopeless');
    expect((await decide('retry', id)).errors).toMatchObject([
      {
        message: 'The event is still malformed: an attribute is missing.',
        extensions: { code: 'CONFLICT', reason: 'EVENT_MALFORMED' },
      },
    ]);
    expect(await letterWith('hopeless')).toMatchObject({ state: 'OPEN' });
    expect((await decide('discard', id)).data).toEqual({ discardDeadLetter: { state: 'DISCARDED' } });
    expect((await decide('retry', id)).errors).toMatchObject([{ extensions: { code: 'CONFLICT' } }]);
  });

  it('are read from the dead-letter subscription of Pub/Sub and processed again on retry', async () => {
    const assetId = await upload();
    await giveUp(event(assetId));
    const letter = await letterWith(assetId);
    expect(letter).toMatchObject({
      source: 'object-events',
      assetId,
      attempts: 100,
      error: `given up after 100 deliveries to ${NAMES.subscription}`,
      state: 'OPEN',
    });
    // The object is stored, but its event is lost.
    fleet.emulators.gcs.faults.add({ match: { keyPrefix: assetId }, action: { events: 'lose' } });
    const object = { bucket: NAMES.incomingBucket, key: assetId };
    await fleet.emulators.put(object, Buffer.from('hello'), { contentType: 'text/plain' });
    expect(await statusOf(assetId)).toBe('PENDING');
    for (let time = 0; time < 2; time++) {
      expect((await decide('retry', letter.id)).data).toEqual({ retryDeadLetter: { state: 'RETRIED' } });
    }
    await eventually('the asset is READY', async () =>
      (await statusOf(assetId)) === 'READY' ? true : undefined,
    );
    expect((await decide('discard', letter.id)).errors).toMatchObject([{ extensions: { code: 'CONFLICT' } }]);
  });
});

it('pauses when it cannot record a dead letter (real: PostgreSQL whose table is locked)', async () => {
  await using world = await World.start();
  const pubsub = { projectId: PROJECT, emulator: world.emulators.pubsubAddress };
  const logger = new PinoLogger({ pinoHttp: { level: 'silent' } });
  const events = new PubSubObjectEvents({ ...pubsub, subscription: 'x', incomingBucket: 'incoming', logger });
  const subscriber = new ObjectFinalizedSubscriber(
    events,
    world.completion,
    world.deadLetters,
    world.database,
    logger,
  );
  const event: UndeliverableEvent = {
    messageId: '1',
    problem: 'a problem',
    attempts: 1,
    key: null,
    payload: '{}',
  };
  const locker = await world.database.pool.connect();
  try {
    await locker.query('begin; lock table dead_letters in access exclusive mode');
    expect(await subscriber.undeliverable(event)).toBe('pause');
    await locker.query('rollback');
  } finally {
    locker.release();
    await events.stop(1000);
  }
  expect([await subscriber.undeliverable(event), await subscriber.undeliverable(event)]).toEqual([
    'ack',
    'ack',
  ]);
  const letters = await world.deadLetters.list(undefined, undefined, 10);
  expect(letters).toMatchObject([{ source: 'object-events', sourceId: '1', error: 'a problem' }]);
});
