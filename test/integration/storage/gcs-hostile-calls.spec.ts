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
/** CRC32C of `bytes`. */
const BYTES_CRC32C = '0G6ckg==';
const CONTENT = { bucket: 'content', key: 'content/ab' };
const COPY = { from: OBJECT, to: CONTENT, expect: 'absent', contentType: 'image/png' } as const;
const WRITE = {
  to: CONTENT,
  body: Buffer.from('bytes'),
  expect: 'absent',
  contentType: 'image/png',
} as const;

/** Real: HTTP, against a server that misbehaves. */
describe('GcsObjectStore: failing calls', () => {
  const start = hostileStorages();

  const passing: [string, Answer][] = [
    ['408', refusal(408, 'timeout')],
    ['429', refusal(429, 'rateLimitExceeded')],
    ['500', refusal(500, 'backendError')],
    ['503', refusal(503, 'backendError')],
    ['a 403 for a rate limit', refusal(403, 'userRateLimitExceeded')],
    ['an expired token', refusal(401, 'authError')],
    ['a proxy page', (response) => response.writeHead(502).end('<html>')],
    ['a closed connection', hangUp],
    [
      'a truncated response',
      (response) =>
        response.writeHead(200, { 'content-length': '100' }).write('{"a', () => response.destroy()),
    ],
    ['a response that is not JSON', (response) => response.end('<html>')],
    [
      'a truncated error',
      (response) =>
        response.writeHead(500, { 'content-length': '100' }).write('{"a', () => response.destroy()),
    ],
  ];

  it.each(passing)('retries after %s', async (_, answer) => {
    const storage = await start(answer, json(200, RESOURCE));
    expect(await storage.store().stat(OBJECT)).toMatchObject({ version: '18', sizeBytes: 5 });
    expect(storage.requests).toHaveLength(2);
  });

  it.each<[string, Answer]>([
    ['503', refusal(503, 'backendError')],
    ['a closed connection', hangUp],
  ])('is unavailable when every attempt ends with %s', async (_, answer) => {
    const storage = await start(answer);
    await expect(storage.store().stat(OBJECT)).rejects.toMatchObject(UNAVAILABLE);
    expect(storage.requests).toHaveLength(3);
  });

  it('is unavailable when the port is closed', async () => {
    const storage = await start(silence);
    const store = storage.store();
    await storage.close();
    await expect(store.delete(OBJECT)).rejects.toMatchObject(UNAVAILABLE);
  });

  it.each([
    ['stat', (store: GcsObjectStore) => store.stat(OBJECT)],
    ['delete', (store: GcsObjectStore) => store.delete(OBJECT)],
    ['read', (store: GcsObjectStore) => buffer(store.read(OBJECT))],
    ['copy', (store: GcsObjectStore) => store.copy(COPY)],
    ['write', (store: GcsObjectStore) => store.write(WRITE)],
  ])('times out a %s without a response', async (_, call) => {
    const storage = await start(silence);
    const store = storage.store({ callTimeoutMs: 50, copyTimeoutMs: 50 });
    await expect(call(store)).rejects.toMatchObject(UNAVAILABLE);
  });

  it.each<[string, (store: GcsObjectStore, signal?: AbortSignal) => Promise<unknown>]>([
    ['stat', (store, signal) => store.stat(OBJECT, { signal })],
    ['delete', (store, signal) => store.delete(OBJECT, { signal })],
    ['copy', (store, signal) => store.copy(COPY, { signal })],
    ['write', (store, signal) => store.write(WRITE, { signal })],
  ])('aborts only the request of a %s that is aborted', async (_, call) => {
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

  it('accepts no proxy page as a response', async () => {
    const storage = await start((response) => response.writeHead(200).end('<html>'));
    await expect(storage.store().delete(OBJECT)).rejects.toMatchObject(UNAVAILABLE);
    await expect(storage.store().copy(COPY)).rejects.toMatchObject(UNAVAILABLE);
    await expect(storage.store().write(WRITE)).rejects.toMatchObject(UNAVAILABLE);
    const empty = await start((response) => response.end());
    await expect(empty.store().copy(COPY)).rejects.toMatchObject(UNAVAILABLE);
    await expect(empty.store().write(WRITE)).rejects.toMatchObject(UNAVAILABLE);
    await expect(empty.store().stat(OBJECT)).rejects.toMatchObject(UNAVAILABLE);
  });

  it.each([
    ['an invalid version', 'key', '17x'],
    ['version zero', 'key', '0'],
    ['a key of dots', '..', '17'],
  ])('sends no request that could address another object: %s', async (_, key, version) => {
    const storage = await start(json(200, RESOURCE));
    const object = { bucket: 'incoming', key, version };
    const store = storage.store();
    await expect(store.delete(object)).rejects.toThrow(TypeError);
    await expect(buffer(store.read(object))).rejects.toThrow(TypeError);
    const over = { to: { bucket: 'content', key }, expect: { version } };
    await expect(store.write({ ...WRITE, ...over })).rejects.toThrow(TypeError);
    await expect(store.copy({ ...COPY, ...over })).rejects.toThrow(TypeError);
    expect(storage.requests).toEqual([]);
  });

  it('exposes no URL, key or header in an error', async () => {
    const page: Answer = (response) => response.writeHead(500).end(`<p>${'x'.repeat(100_000)}`);
    for (const answer of [refusal(400, 'invalid', 'No.'), hangUp, page]) {
      const storage = await start(answer);
      const error = await storage
        .store()
        .stat(OBJECT)
        .catch((thrown: unknown) => thrown);
      const text = inspect(error, { depth: Infinity, showHidden: true });
      expect(text).not.toMatch(/https?:\/\/|the-secret-key|x-goog-api-client|user-agent/i);
      expect(text.length).toBeLessThan(10_000);
    }
  });

  it('includes retries in the timeout', async () => {
    const storage = await start(refusal(503, 'backendError'), silence);
    await expect(storage.store({ callTimeoutMs: 3_000 }).stat(OBJECT)).rejects.toMatchObject(UNAVAILABLE);
    expect(storage.requests).toHaveLength(2);
  });

  it('treats a missing bucket as unavailable, not as empty', async () => {
    const storage = await start(refusal(404, 'notFound', 'The specified bucket does not exist.'));
    await expect(storage.store().stat(OBJECT)).rejects.toMatchObject(UNAVAILABLE);
    await expect(storage.store().delete(OBJECT)).rejects.toMatchObject(UNAVAILABLE);
    await expect(buffer(storage.store().read(OBJECT))).rejects.toMatchObject(UNAVAILABLE);
  });

  it.each([
    [400, 'invalid'],
    [403, 'forbidden'],
  ])('throws a %d as a bug without naming the object', async (status, reason) => {
    const storage = await start(refusal(status, reason));
    const failure = storage.store().delete(OBJECT);
    await expect(failure).rejects.toThrow(`Storage answered ${status} (${reason})`);
    await expect(failure).rejects.not.toHaveProperty('kind');
    expect(storage.requests).toHaveLength(1);
  });

  it('stops on abort, during an attempt and between two', async () => {
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
    it('continues with the rewrite token until it is done, with equal conditions in each request', async () => {
      const storage = await start(
        json(200, { done: false, rewriteToken: 'one' }),
        refusal(503, 'backendError'),
        json(200, { done: false, rewriteToken: 'two' }),
        json(200, { done: true, resource: RESOURCE }),
      );
      const result = await storage
        .store()
        .copy({ ...COPY, expect: { version: '5' }, cacheControl: 'private' });
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

    it('requires an absent object by generation 0', async () => {
      const storage = await start(refusal(412, 'conditionNotMet'));
      expect(await storage.store().copy(COPY)).toEqual({ outcome: 'changed' });
      expect(storage.requests[0]?.url.searchParams.get('ifGenerationMatch')).toBe('0');
    });
  });

  describe('write', () => {
    /** Both parts of a multipart body: the metadata and the bytes of the object. */
    const partsOf = (body: string) => {
      const [, metadata = '', bytes] = body
        .split(/\r\n--[^\r]*|^--[^\r]*/)
        .map((part) => part.split('\r\n\r\n')[1]);
      return [JSON.parse(metadata), bytes] as unknown;
    };

    it.each(passing)('retries the whole request after %s', async (_, answer) => {
      const storage = await start(answer, json(200, RESOURCE));
      const request = { ...WRITE, expect: { version: '5' }, cacheControl: 'private' };
      const result = await storage.store().write(request);
      expect(result).toMatchObject({ outcome: 'written', object: { version: '18', key: 'content/ab' } });
      expect(storage.requests).toHaveLength(2);
      for (const { method, url, body } of storage.requests) {
        expect([method, url.pathname]).toEqual(['POST', '/upload/storage/v1/b/content/o']);
        expect(Object.fromEntries(url.searchParams)).toMatchObject({
          uploadType: 'multipart',
          name: 'content/ab',
          ifGenerationMatch: '5',
        });
        const metadata = { contentType: 'image/png', cacheControl: 'private', crc32c: BYTES_CRC32C };
        expect(partsOf(body)).toEqual([metadata, 'bytes']);
      }
    });

    it('retries bytes that were damaged in transit and is unavailable if they always are', async () => {
      const message = 'Provided CRC32C "a" doesn\'t match calculated CRC32C "b".';
      const damaged = refusal(400, 'invalid', message);
      const storage = await start(damaged, json(200, RESOURCE));
      expect(await storage.store().write(WRITE)).toMatchObject({ outcome: 'written' });
      const always = await start(damaged);
      await expect(always.store().write(WRITE)).rejects.toMatchObject(UNAVAILABLE);
      expect(always.requests).toHaveLength(3);
    });

    it('sends no delete, whatever checksum storage reports', async () => {
      const storage = await start(json(200, { ...RESOURCE, crc32c: 'AAAAAA==' }));
      await storage.store().write(WRITE);
      expect(storage.requests.map(({ method }) => method)).toEqual(['POST']);
    });

    it('reports a changed object when the first response was lost', async () => {
      const storage = await start(hangUp, refusal(412, 'conditionNotMet'));
      expect(await storage.store().write(WRITE)).toEqual({ outcome: 'changed' });
      expect(storage.requests.map(({ url }) => url.searchParams.get('ifGenerationMatch'))).toEqual([
        '0',
        '0',
      ]);
    });

    it('treats a missing bucket as unavailable', async () => {
      const storage = await start(refusal(404, 'notFound', 'The specified bucket does not exist.'));
      await expect(storage.store().write(WRITE)).rejects.toMatchObject(UNAVAILABLE);
    });

    it('exposes neither target nor content in an error', async () => {
      for (const answer of [refusal(400, 'invalid', 'No.'), hangUp]) {
        const storage = await start(answer);
        const error = await storage
          .store()
          .write(WRITE)
          .catch((thrown: unknown) => thrown);
        const text = inspect(error, { depth: Infinity, showHidden: true });
        expect(text).not.toMatch(/https?:\/\/|content\/ab|x-goog-api-client|user-agent/i);
      }
    });
  });
});
