import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Bucket } from '@google-cloud/storage';
import type { FaultRule } from '../../../libs/gcp-emulator/src/gcs/index.js';
import { Harness, until } from './gcs.harness.js';
import { progress, put, QUANTUM as Q, upTo } from './gcs-resumable.harness.js';

interface Published {
  topic: string;
  attributes: Record<string, string>;
  data: Buffer;
}

// Real: the emulator, its disk, its connections. Pub/Sub is a list of published messages.
let harness: Harness;
let bucket: Bucket;
let published: Published[];
let errors: unknown[];

const publish = (topic: string, message: Omit<Published, 'topic'>) => {
  published.push({ topic, ...message });
  return Promise.resolve();
};

beforeEach(async () => {
  published = [];
  errors = [];
  harness = await Harness.start({ publish, admin: true, onError: (error) => errors.push(error) });
  [bucket] = await harness.storage.createBucket('faulty');
});
afterEach(async () => {
  expect(errors).toEqual([]);
  await harness.stop();
});

const faults = () => harness.emulator.faults;
const waitForHit = (id: string) =>
  until(() =>
    faults()
      .list()
      .some((rule) => rule.id === id && rule.hits > 0),
  );
const jsonUrl = (name: string) =>
  `${harness.emulator.url}/upload/storage/v1/b/faulty/o?uploadType=media&name=${name}`;
const upload = (name: string, body: string | Buffer) => fetch(jsonUrl(name), { method: 'POST', body });

describe('a request', () => {
  it.each([
    [429, 'rateLimitExceeded', 'SlowDown'],
    [500, 'backendError', 'InternalError'],
    [503, 'backendError', 'ServiceUnavailable'],
  ] as const)('is rejected with %i in the format of its API', async (status, reason, code) => {
    faults().add({ times: 2, action: { status, retryAfter: 7 } });
    const json = await upload('a', 'x');
    expect(json.headers.get('retry-after')).toBe('7');
    expect([json.status, await json.json()]).toMatchObject([status, { error: { errors: [{ reason }] } }]);
    const url = await harness.sign(bucket.file('a'), { action: 'write' });
    const xml = await fetch(url, { method: 'PUT', body: 'x' });
    expect([xml.status, await xml.text()]).toEqual([status, expect.stringContaining(`<Code>${code}<`)]);
    expect((await fetch(url, { method: 'PUT', body: 'x' })).status).toBe(200);
  });

  it('is matched by its object in every kind of URL', async () => {
    const file = bucket.file('in/a');
    await file.save('x', { resumable: false });
    const [session] = await file.createResumableUpload();
    const signed = await harness.sign(file);
    const id = faults().add({ match: { bucket: 'faulty', keyPrefix: 'in/' }, action: { status: 503 } });
    await expect(file.save('x', { resumable: false })).rejects.toMatchObject({ code: 503 });
    await expect(file.getMetadata()).rejects.toMatchObject({ code: 503 });
    expect((await fetch(signed)).status).toBe(503);
    expect((await put(session, undefined, 'x')).status).toBe(503);
    expect(faults().list()).toMatchObject([{ id, hits: 4 }]);
    await bucket.file('out/a').save('x', { resumable: false });
  });

  it('waits until its delay is released', async () => {
    const id = faults().add({ times: 1, action: { delayMs: 3_600_000 } });
    const waiting = upload('a', 'x');
    await waitForHit(id);
    expect(await bucket.file('a').exists()).toEqual([false]);
    faults().release();
    expect((await waiting).status).toBe(200);
  });

  it('is released when the emulator is closed', async () => {
    const id = faults().add({ action: { delayMs: 3_600_000 } });
    const waiting = upload('a', 'x');
    await waitForHit(id);
    await harness.restart();
    expect((await waiting).status).toBe(200);
  });

  const download = async () => {
    const response = await fetch(`${harness.emulator.url}/storage/v1/b/faulty/o/slow?alt=media`);
    return response.text();
  };

  it.each(['request', 'response'] as const)('has its %s throttled', async (direction) => {
    await upload('slow', '0123456789');
    const transfer = direction === 'request' ? () => upload('slow', '9876543210') : download;
    faults().add({ times: 1, action: { bytesPerSecond: 50, direction } });
    const start = performance.now();
    await transfer();
    // A timer may fire slightly early.
    expect(performance.now() - start).toBeGreaterThan(180);
    expect(await download()).toBe(direction === 'request' ? '9876543210' : '0123456789');

    const id = faults().add({ times: 1, action: { bytesPerSecond: 0.001, direction } });
    const slow = transfer();
    await waitForHit(id);
    faults().release();
    await slow;
  });
});

describe('a connection', () => {
  const cut = (cutAfterBytes: number, direction: 'request' | 'response'): FaultRule => ({
    id: 'cut',
    times: 1,
    action: { cutAfterBytes, direction },
  });

  it.each([0, 1, 100_000])('is cut after %i bytes of an upload, which is discarded', async (bytes) => {
    const before = await harness.filesOnDisk();
    faults().add(cut(bytes, 'request'));
    await expect(upload('cut', Buffer.alloc(200_000))).rejects.toThrow('fetch failed');
    await until(async () => (await harness.filesOnDisk()).length === before.length);
    expect(await bucket.file('cut').exists()).toEqual([false]);
    expect((await upload('cut', 'x')).status).toBe(200);
  });

  it('is cut in a resumable upload, which keeps its bytes', async () => {
    const data = randomBytes(5 * Q);
    const [uri] = await bucket.file('resumed').createResumableUpload();
    faults().add(cut(3 * Q + 1, 'request'));
    await expect(put(uri, `bytes 0-*/${data.length}`, data)).rejects.toThrow('fetch failed');
    await until(async () => (await progress(uri))[1] === upTo(3 * Q)[1]);
    expect((await put(uri, `bytes ${3 * Q}-*/${data.length}`, data.subarray(3 * Q))).status).toBe(200);
    expect((await bucket.file('resumed').download())[0].equals(data)).toBe(true);
  });

  it('is cut under the official client, which resumes by itself', async () => {
    const data = randomBytes(5 * Q + 3);
    harness.storage.retryOptions.autoRetry = true;
    const id = faults().add({ ...cut(Q, 'request'), match: { method: 'PUT' }, times: 2 });
    const file = harness.storage.bucket('faulty').file('retried');
    await file.save(data, { resumable: true, chunkSize: 2 * Q, preconditionOpts: { ifGenerationMatch: 0 } });
    expect(faults().list()).toMatchObject([{ id, hits: 2 }]);
    expect((await file.download())[0].equals(data)).toBe(true);
  });

  it('is cut before the response, after the request took effect', async () => {
    faults().add(cut(0, 'response'));
    await expect(upload('done', 'x')).rejects.toThrow('fetch failed');
    expect((await bucket.file('done').download())[0].toString()).toBe('x');
  });

  it('is cut in the middle of a download, after the bytes before were sent', async () => {
    const data = randomBytes(500_000);
    await upload('half', data);
    faults().add(cut(300_000, 'response'));
    const response = await fetch(`${harness.emulator.url}/storage/v1/b/faulty/o/half?alt=media`);
    expect(response.headers.get('content-length')).toBe('500000');
    const received: Uint8Array[] = [];
    const read = async () => {
      for await (const chunk of response.body ?? []) received.push(chunk as Uint8Array);
    };
    await expect(read()).rejects.toThrow('terminated');
    expect(Buffer.concat(received).equals(data.subarray(0, 300_000))).toBe(true);
  });
});

describe('an event', () => {
  const TOPIC = 'projects/test/topics/uploads';
  beforeEach(() => bucket.createNotification(TOPIC, { eventTypes: ['OBJECT_FINALIZE'] }));

  const objects = () => published.map(({ attributes }) => attributes.objectId);
  const saveAll = async (...names: string[]) => {
    for (const name of names) await upload(name, 'x');
  };
  const waitForEvents = (...names: string[]) => until(() => names.every((name) => objects().includes(name)));
  const first = (action: FaultRule['action']): FaultRule => ({
    id: 'first',
    match: { keyPrefix: 'a' },
    times: 1,
    action,
  });

  it.each<[FaultRule['action'], string[]]>([
    [{ events: 'lose' }, ['b', 'c']],
    [{ events: 'double' }, ['a', 'a', 'b', 'c']],
    [{ events: 'reorder' }, ['b', 'a', 'c']],
    [{ events: 'delay' }, ['b', 'c']],
  ])('is subject to %j: %j are published', async (action, expected) => {
    faults().add(first(action));
    await saveAll('a');
    await waitForHit('first');
    await saveAll('b');
    await waitForEvents(...expected.filter((name) => name !== 'c'));
    await saveAll('c');
    await waitForEvents('c');
    expect(objects()).toEqual(expected);
  });

  it.each<EventDelay>([{ events: 'delay' }, { events: 'delay', delayMs: 3_600_000 }, { events: 'reorder' }])(
    'is published when its delay by %j is released',
    async (action) => {
      faults().add(first(action));
      await saveAll('a');
      await waitForHit('first');
      expect(objects()).toEqual([]);
      faults().release();
      await waitForEvents('a');
    },
  );

  it('is published when its delay is over', async () => {
    faults().add(first({ events: 'delay', delayMs: 1 }));
    await saveAll('a');
    await waitForEvents('a');
    expect(faults().list()).toMatchObject([{ hits: 1 }]);
  });

  it('is not lost with the process while it is delayed', async () => {
    faults().add(first({ events: 'delay' }));
    await saveAll('a');
    await waitForHit('first');
    await harness.restart();
    await waitForEvents('a');
    expect(objects()).toEqual(['a']);
  });

  it('can be forged', async () => {
    const attributes = { eventType: 'OBJECT_FINALIZE', objectId: 'never-was', objectGeneration: '1' };
    await harness.emulator.events.forge(TOPIC, { attributes, data: Buffer.from('{}') });
    expect(published).toEqual([{ topic: TOPIC, attributes, data: Buffer.from('{}') }]);
  });
});

type EventDelay = Extract<FaultRule['action'], { events: string }>;

describe('the admin API', () => {
  const ask = (path: string, method: string, body?: unknown) =>
    fetch(`${harness.emulator.url}/_emulator/${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });

  it('adds, lists, releases and clears rules', async () => {
    const rule = { match: { keyPrefix: 'a' }, action: { delayMs: 3_600_000 } };
    const added = (await (await ask('faults', 'POST', rule)).json()) as { id: string };
    expect(added).toEqual({ ...rule, id: added.id, hits: 0 });
    const waiting = upload('a', 'x');
    await waitForHit(added.id);
    expect(await (await ask('faults', 'GET')).json()).toEqual({ rules: [{ ...added, hits: 1 }] });
    expect((await ask('faults/release', 'POST')).status).toBe(204);
    expect((await waiting).status).toBe(200);
    expect((await ask('faults', 'DELETE')).status).toBe(204);
    expect(await (await ask('faults', 'GET')).json()).toEqual({ rules: [] });
  });

  it('reports an invalid rule', async () => {
    const response = await ask('faults', 'POST', { action: { status: 404 } });
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { error: { message: 'Invalid value for action.status.' } },
    ]);
  });

  it('forges events', async () => {
    const event = { topic: 'projects/p/topics/t', attributes: { a: 'b' } };
    const data = Buffer.from('data').toString('base64');
    expect((await ask('events', 'POST', { ...event, data })).status).toBe(204);
    expect(published).toEqual([{ ...event, data: Buffer.from('data') }]);
    expect((await ask('events', 'POST', { topic: 1 })).status).toBe(400);
  });

  it('is not affected by the faults that it controls', async () => {
    faults().add({ action: { status: 503 } });
    expect((await ask('faults', 'DELETE')).status).toBe(204);
  });

  it('is disabled by default', async () => {
    await harness.restart({ publish });
    for (const path of ['faults', 'events']) {
      expect((await ask(path, 'POST', { action: { status: 503 } })).status).toBe(403);
    }
    expect(faults().list()).toEqual([]);
  });
});
