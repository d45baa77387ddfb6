import { once } from 'node:events';
import type http from 'node:http';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { OBJECT, UNAVAILABLE, hostileStorages, silence } from './hostile-storage.js';
import type { Answer } from './hostile-storage.js';

/** Real: HTTP, against a server that misbehaves. */
describe('GcsObjectStore: failing reads', () => {
  const start = hostileStorages();
  const head = { 'content-type': 'text/plain', 'x-goog-stored-content-length': '10' };

  it.each<[string, Answer]>([
    [
      'is cut off',
      (response) =>
        response.writeHead(200, { ...head, 'content-length': '10' }).write('12345', () => response.destroy()),
    ],
    [
      'is cut off in chunked encoding',
      (response) => response.writeHead(200).write('12345', () => response.destroy()),
    ],
    ['ends early', (response) => response.writeHead(200, head).end('12345')],
    ['is too long', (response) => response.writeHead(200, head).end('1234567890!')],
    [
      'stalls',
      (response) => void response.writeHead(200, { ...head, 'content-length': '10' }).write('12345'),
    ],
  ])('is unavailable when the body %s', async (_, answer) => {
    const storage = await start(answer);
    const body = storage.store({ stallTimeoutMs: 100 }).read(OBJECT);
    await expect(buffer(body)).rejects.toMatchObject(UNAVAILABLE);
  });

  it('requests the version and the stored encoding', async () => {
    const storage = await start((response, { headers }) => response.end(headers['accept-encoding']));
    expect(String(await buffer(storage.store().read(OBJECT)))).toBe('gzip');
    expect(Object.fromEntries(storage.requests[0]?.url.searchParams ?? [])).toEqual({
      alt: 'media',
      generation: '17',
    });
  });

  const HEAD = 'HTTP/1.1 200 OK\r\n';
  it.each([
    ['invalid chunks', `${HEAD}transfer-encoding: chunked\r\n\r\nzz\r\nabc`],
    ['an error with invalid chunks', `HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc`],
    ['an upgrade to another protocol', `HTTP/1.1 101 Yes\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n`],
    ['not HTTP', 'SSH-2.0-OpenSSH\r\n'],
  ])('is unavailable when the response is %s', async (_, text) => {
    const storage = await start((_response, { socket }) => socket.end(text));
    await expect(buffer(storage.store().read(OBJECT))).rejects.toMatchObject(UNAVAILABLE);
  });

  it('reads the declared length and ignores the bytes after it', async () => {
    const storage = await start((_, { socket }) => socket.end(`${HEAD}content-length: 1\r\n\r\nxEXTRA`));
    expect(String(await buffer(storage.store().read(OBJECT)))).toBe('x');
  });

  it('handles an error that is compressed and one that is far too long', async () => {
    const body = gzipSync(JSON.stringify({ error: { errors: [{ reason: 'rateLimitExceeded' }] } }));
    const compressed = await start(
      (response) => response.writeHead(403, { 'content-encoding': 'gzip' }).end(body),
      (response) => response.end('x'),
    );
    expect(String(await buffer(compressed.store().read(OBJECT)))).toBe('x');
    const long = await start((response) => void response.writeHead(503).write(Buffer.alloc(2 ** 20, 'x')));
    await expect(buffer(long.store().read(OBJECT))).rejects.toMatchObject(UNAVAILABLE);
  });

  it('follows no redirect', async () => {
    const elsewhere = await start((response) => response.end('x'));
    const storage = await start((response) => response.writeHead(302, { location: elsewhere.url }).end());
    await expect(buffer(storage.store().read(OBJECT))).rejects.toMatchObject({ status: 302 });
    expect(elsewhere.requests).toEqual([]);
  });

  it('sends no request before the body is read', async () => {
    const storage = await start((response) => response.end('x'));
    const store = storage.store();
    store.read(OBJECT).destroy();
    expect(String(await buffer(store.read(OBJECT)))).toBe('x');
    expect(storage.requests).toHaveLength(1);
  });

  it('closes the connection when its reader leaves, before and during the response', async () => {
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

  it('keeps received bytes for a slow reader', async () => {
    const storage = await start((response) => response.writeHead(200, head).end('1234567890'));
    const body = storage.store({ stallTimeoutMs: 20 }).read(OBJECT);
    await once(body, 'readable');
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(String(await buffer(body))).toBe('1234567890');
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

  it('applies backpressure and never times out a slow reader', async () => {
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
    // The reader pauses and blocks the sender for a multiple of the stall timeout.
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
