import { buffer } from 'node:stream/consumers';
import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import type { GcsObjectStore } from '#libs/storage/gcs';
import { OBJECT, UNAVAILABLE, hangUp, hostileStorages, silence } from './hostile-storage.js';
import type { Answer } from './hostile-storage.js';

const RESOURCE = {
  bucket: 'content',
  name: 'content/ab',
  generation: '18',
  size: '5',
  crc32c: 'AAAAAA==',
  contentType: 'image/png',
  timeCreated: '2026-11-22T10:00:00Z',
};
const json =
  (status: number, body: unknown): Answer =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
const refusal = (code: number, reason: string, message = 'bucket incoming, key the-secret-key') =>
  json(code, { error: { code, message, errors: [{ reason, message, domain: 'global' }] } });
/** Real: HTTP, against a server that misbehaves. */
describe('GcsObjectStore: calls that go wrong', () => {
  const start = hostileStorages();

  const passing: [string, Answer][] = [
    ['408', refusal(408, 'timeout')],
    ['429', refusal(429, 'rateLimitExceeded')],
    ['500', refusal(500, 'backendError')],
    ['503', refusal(503, 'backendError')],
    ['a 403 for the rate', refusal(403, 'userRateLimitExceeded')],
    ['an expired token', refusal(401, 'authError')],
    ["a proxy's page", (response) => response.writeHead(502).end('<html>')],
    ['a closed connection', hangUp],
    [
      'half an answer',
      (response) =>
        response.writeHead(200, { 'content-length': '100' }).write('{"a', () => response.destroy()),
    ],
    ['something that is not JSON', (response) => response.end('<html>')],
    [
      'half an error',
      (response) =>
        response.writeHead(500, { 'content-length': '100' }).write('{"a', () => response.destroy()),
    ],
  ];

  it.each(passing)('tries again after %s', async (_, answer) => {
    const storage = await start(answer, json(200, RESOURCE));
    expect(await storage.store().stat(OBJECT)).toMatchObject({ version: '18', sizeBytes: 5 });
    expect(storage.requests).toHaveLength(2);
  });

  it.each<[string, Answer]>([
    ['503', refusal(503, 'backendError')],
    ['a closed connection', hangUp],
  ])('is unavailable when it stays with %s', async (_, answer) => {
    const storage = await start(answer);
    await expect(storage.store().stat(OBJECT)).rejects.toMatchObject(UNAVAILABLE);
    expect(storage.requests).toHaveLength(3);
  });

  it('is unavailable where nobody listens', async () => {
    const storage = await start(silence);
    const store = storage.store();
    await storage.close();
    await expect(store.delete(OBJECT)).rejects.toMatchObject(UNAVAILABLE);
  });

  it.each([
    ['stat', (store: GcsObjectStore) => store.stat(OBJECT)],
    ['delete', (store: GcsObjectStore) => store.delete(OBJECT)],
    ['read', (store: GcsObjectStore) => buffer(store.read(OBJECT))],
    [
      'copy',
      (store: GcsObjectStore) =>
        store.copy({ from: OBJECT, to: OBJECT, expect: 'absent', contentType: 'a/b' }),
    ],
  ])('gives %s up in time when nothing comes', async (_, call) => {
    const storage = await start(silence);
    const store = storage.store({ callTimeoutMs: 50, copyTimeoutMs: 50 });
    await expect(call(store)).rejects.toMatchObject(UNAVAILABLE);
  });

  it.each<[string, (store: GcsObjectStore, signal?: AbortSignal) => Promise<unknown>]>([
    ['stat', (store, signal) => store.stat(OBJECT, { signal })],
    ['delete', (store, signal) => store.delete(OBJECT, { signal })],
    [
      'copy',
      (store, signal) =>
        store.copy({ from: OBJECT, to: OBJECT, expect: 'absent', contentType: 'a/b' }, { signal }),
    ],
  ])('ends the request of a %s that it gives up, and no other', async (_, call) => {
    const closed = Promise.withResolvers<void>();
    const waiting: (() => void)[] = [];
    const storage = await start(
      (_response, request) => void request.socket.once('close', () => closed.resolve()),
      (response, request) => waiting.push(() => json(200, RESOURCE)(response, request)),
    );
    const store = storage.store();
    const giveUp = new AbortController();
    const doomed = expect(call(store, giveUp.signal)).rejects.toThrow('enough');
    while (storage.requests.length < 1) await new Promise(setImmediate);
    const others = Array.from({ length: 3 }, () => store.stat(OBJECT));
    while (waiting.length < 3) await new Promise(setImmediate);
    giveUp.abort(new Error('enough'));
    await Promise.all([doomed, closed.promise]);
    waiting.forEach((answer) => answer());
    expect(await Promise.all(others)).toHaveLength(3);
    expect(storage.requests).toHaveLength(4);
  });

  it('takes no page of a proxy for an answer', async () => {
    const storage = await start((response) => response.writeHead(200).end('<html>'));
    await expect(storage.store().delete(OBJECT)).rejects.toMatchObject(UNAVAILABLE);
    const copy = { from: OBJECT, to: OBJECT, expect: 'absent', contentType: 'a/b' } as const;
    await expect(storage.store().copy(copy)).rejects.toMatchObject(UNAVAILABLE);
    const empty = await start((response) => response.end());
    await expect(empty.store().copy(copy)).rejects.toMatchObject(UNAVAILABLE);
    await expect(empty.store().stat(OBJECT)).rejects.toMatchObject(UNAVAILABLE);
  });

  it.each([
    ['no number', 'key', '17x'],
    ['zero', 'key', '0'],
    ['a key of dots', '..', '17'],
  ])('never asks for another object than the one named: %s', async (_, key, version) => {
    const storage = await start(json(200, RESOURCE));
    const object = { bucket: 'incoming', key, version };
    const store = storage.store();
    await expect(store.delete(object)).rejects.toThrow(TypeError);
    await expect(buffer(store.read(object))).rejects.toThrow(TypeError);
    expect(storage.requests).toEqual([]);
  });

  it('keeps what an error must not tell to itself', async () => {
    const page: Answer = (response) => response.writeHead(500).end(`<p>${'x'.repeat(100_000)}`);
    for (const answer of [refusal(400, 'invalid', 'No.'), hangUp, page]) {
      const storage = await start(answer);
      const error = await storage
        .store()
        .stat(OBJECT)
        .catch((thrown: unknown) => thrown);
      const told = inspect(error, { depth: Infinity, showHidden: true });
      expect(told).not.toMatch(/https?:\/\/|the-secret-key|x-goog-api-client|user-agent/i);
      expect(told.length).toBeLessThan(10_000);
    }
  });

  it('counts retries into the timeout', async () => {
    const storage = await start(refusal(503, 'backendError'), silence);
    await expect(storage.store({ callTimeoutMs: 400 }).stat(OBJECT)).rejects.toMatchObject(UNAVAILABLE);
    expect(storage.requests).toHaveLength(2);
  });

  it('takes a bucket that is not there for trouble, not for empty', async () => {
    const storage = await start(refusal(404, 'notFound', 'The specified bucket does not exist.'));
    await expect(storage.store().stat(OBJECT)).rejects.toMatchObject(UNAVAILABLE);
    await expect(storage.store().delete(OBJECT)).rejects.toMatchObject(UNAVAILABLE);
    await expect(buffer(storage.store().read(OBJECT))).rejects.toMatchObject(UNAVAILABLE);
  });

  it.each([
    [400, 'invalid'],
    [403, 'forbidden'],
  ])('throws a %d as the bug that it is, and names no object', async (status, reason) => {
    const storage = await start(refusal(status, reason));
    const failure = storage.store().delete(OBJECT);
    await expect(failure).rejects.toThrow(`Storage answered ${status} (${reason})`);
    await expect(failure).rejects.not.toHaveProperty('kind');
    expect(storage.requests).toHaveLength(1);
  });

  it('is given up by its signal, in the middle of a call and between two', async () => {
    for (const answer of [silence, refusal(503, 'backendError')]) {
      const storage = await start(answer);
      const giveUp = new AbortController();
      const reason = new Error('enough');
      const failure = expect(storage.store().stat(OBJECT, { signal: giveUp.signal })).rejects.toBe(reason);
      while (storage.requests.length === 0) await new Promise(setImmediate);
      giveUp.abort(reason);
      await failure;
      expect(storage.requests).toHaveLength(1);
    }
  });

  describe('copy', () => {
    const request = {
      from: OBJECT,
      to: { bucket: 'content', key: 'content/ab' },
      contentType: 'image/png',
    } as const;

    it('goes on with the token until it is done, under the same conditions', async () => {
      const storage = await start(
        json(200, { done: false, rewriteToken: 'one' }),
        refusal(503, 'backendError'),
        json(200, { done: false, rewriteToken: 'two' }),
        json(200, { done: true, resource: RESOURCE }),
      );
      const result = await storage
        .store()
        .copy({ ...request, expect: { version: '5' }, cacheControl: 'private' });
      expect(result).toMatchObject({ outcome: 'copied', copy: { version: '18', key: 'content/ab' } });
      expect(storage.requests.map(({ url }) => url.searchParams.get('rewriteToken'))).toEqual([
        null,
        'one',
        'one',
        'two',
      ]);
      for (const { method, url, body } of storage.requests) {
        expect(method).toBe('POST');
        expect(url.pathname).toBe(
          '/storage/v1/b/incoming/o/the-secret-key/rewriteTo/b/content/o/content%2Fab',
        );
        expect(url.searchParams.get('sourceGeneration')).toBe('17');
        expect(url.searchParams.get('ifGenerationMatch')).toBe('5');
        expect(JSON.parse(body)).toEqual({ contentType: 'image/png', cacheControl: 'private', metadata: {} });
      }
    });

    it('expects nothing to be there by generation 0', async () => {
      const storage = await start(refusal(412, 'conditionNotMet'));
      expect(await storage.store().copy({ ...request, expect: 'absent' })).toEqual({ outcome: 'changed' });
      expect(storage.requests[0]?.url.searchParams.get('ifGenerationMatch')).toBe('0');
    });
  });
});
