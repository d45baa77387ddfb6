import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from '@jest/globals';
import { GcsObjectStore } from './gcs-object-store.js';
import type { GcsObjectStoreOptions } from './gcs-object-store.js';

type Answer = (response: http.ServerResponse, request: http.IncomingMessage) => void;

/** Storage that behaves as badly as a test says: the n-th request gets the n-th answer, and later ones the last. */
class HostileStorage {
  static async start(...answers: Answer[]): Promise<HostileStorage> {
    const storage = new HostileStorage(answers);
    await once(storage.server.listen(0, '127.0.0.1'), 'listening');
    return storage;
  }

  readonly requests: { method: string; url: URL; body: string }[] = [];
  private readonly server: http.Server;

  private constructor(answers: Answer[]) {
    this.server = http.createServer((request, response) => {
      const answer = answers[Math.min(this.requests.length, answers.length - 1)];
      const seen = { method: request.method ?? '', url: new URL(request.url ?? '', 'http://x'), body: '' };
      this.requests.push(seen);
      request
        .setEncoding('utf8')
        .on('data', (chunk: string) => (seen.body += chunk))
        .once('end', () => answer?.(response, request));
    });
  }

  store(options: GcsObjectStoreOptions = {}): GcsObjectStore {
    const { port } = this.server.address() as AddressInfo;
    return new GcsObjectStore({ endpoint: `http://127.0.0.1:${port}`, ...options });
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

const OBJECT = { bucket: 'incoming', key: 'the-secret-key', version: '17' };
const RESOURCE = {
  bucket: 'content',
  name: 'content/ab',
  generation: '18',
  size: '5',
  crc32c: 'AAAAAA==',
  contentType: 'image/png',
  timeCreated: '2026-11-22T10:00:00Z',
};
const UNAVAILABLE = {
  kind: 'unavailable',
  reason: 'STORAGE_UNAVAILABLE',
  message: 'Storage is not available.',
};

const json =
  (status: number, body: unknown): Answer =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
const refusal = (code: number, reason: string, message = 'bucket incoming, key the-secret-key') =>
  json(code, { error: { code, message, errors: [{ reason, message, domain: 'global' }] } });
const silence: Answer = () => undefined;
const hangUp: Answer = (_, request) => request.socket.destroy();

describe('GcsObjectStore against storage that misbehaves', () => {
  const running: HostileStorage[] = [];
  const start = async (...answers: Answer[]) => {
    const storage = await HostileStorage.start(...answers);
    running.push(storage);
    return storage;
  };
  afterEach(() => Promise.all(running.splice(0).map((storage) => storage.close())));

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

  it.each(passing)('is unavailable when it stays with %s', async (_, answer) => {
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

  describe('read', () => {
    const head = { 'content-type': 'text/plain', 'x-goog-stored-content-length': '10' };

    it.each<[string, Answer]>([
      [
        'breaks off',
        (response) =>
          response
            .writeHead(200, { ...head, 'content-length': '10' })
            .write('12345', () => response.destroy()),
      ],
      [
        'breaks off in a chunked body',
        (response) => response.writeHead(200).write('12345', () => response.destroy()),
      ],
      ['ends early', (response) => response.writeHead(200, head).end('12345')],
      ['brings too much', (response) => response.writeHead(200, head).end('1234567890!')],
      [
        'stalls',
        (response) => void response.writeHead(200, { ...head, 'content-length': '10' }).write('12345'),
      ],
    ])('is unavailable when the body %s', async (_, answer) => {
      const storage = await start(answer);
      const body = storage.store({ stallTimeoutMs: 100 }).read(OBJECT);
      await expect(buffer(body)).rejects.toMatchObject(UNAVAILABLE);
    });

    it('asks for the version, and for what is stored', async () => {
      const storage = await start((response, { headers }) => response.end(headers['accept-encoding']));
      expect(String(await buffer(storage.store().read(OBJECT)))).toBe('gzip');
      expect(Object.fromEntries(storage.requests[0]?.url.searchParams ?? [])).toEqual({
        alt: 'media',
        generation: '17',
      });
    });

    it('asks for nothing before anybody reads', async () => {
      const storage = await start((response) => response.end('x'));
      const store = storage.store();
      store.read(OBJECT).destroy();
      expect(String(await buffer(store.read(OBJECT)))).toBe('x');
      expect(storage.requests).toHaveLength(1);
    });

    it('closes the connection when its reader leaves, before the answer and in its middle', async () => {
      for (const begin of [silence, (response: http.ServerResponse) => void response.write('x')]) {
        const closed = Promise.withResolvers<void>();
        const storage = await start((response, request) => {
          request.socket.once('close', () => closed.resolve());
          begin(response, request);
        });
        const body = storage.store().read(OBJECT);
        body.read(0);
        while (storage.requests.length === 0) await new Promise(setImmediate);
        body.destroy();
        await closed.promise;
      }
    });

    const MIB = 1024 * 1024;
    const endless =
      (sent: { bytes: number; stuck?: boolean }): Answer =>
      (response) => {
        const chunk = Buffer.alloc(MIB);
        const push = () => {
          do sent.bytes += chunk.length;
          while (response.write(chunk) && sent.bytes < 512 * MIB);
          sent.stuck = true;
          response.once('drain', push);
        };
        push();
      };

    it('takes no more than its reader does, and waits for a slow one for ever', async () => {
      const sent = { bytes: 0, stuck: false };
      const storage = await start(endless(sent));
      const body = storage.store({ stallTimeoutMs: 200 }).read(OBJECT);
      const take = async (wanted: number) => {
        for (let got = 0; got < wanted;) {
          const chunk = body.read() as Buffer | null;
          if (chunk === null) await once(body, 'readable');
          else got += chunk.length;
        }
      };
      await take(8 * MIB);
      // The reader takes nothing, while the sender stands for many times the stall timeout.
      for (let quiet = 0, before = sent.bytes; quiet < 5; before = sent.bytes) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        quiet = sent.bytes === before ? quiet + 1 : 0;
      }
      expect(sent.stuck).toBe(true);
      expect(sent.bytes).toBeLessThan(40 * MIB);
      await take(8 * MIB);
      body.destroy();
    });
  });
});
