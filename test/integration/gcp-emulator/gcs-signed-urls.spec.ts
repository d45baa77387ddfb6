import { createHash, randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { readdir, readlink } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Bucket, GetSignedUrlConfig } from '@google-cloud/storage';
import { Harness, rawExchange, until } from './gcs.harness.js';

// Real: the emulator, its disk; URLs signed by the official client, used by plain fetch.
let harness: Harness;
let bucket: Bucket;
let clock = 0;

beforeAll(async () => {
  harness = await Harness.start({ now: () => new Date(Date.now() + clock) });
  [bucket] = await harness.storage.createBucket('signed');
  await bucket.setMetadata({
    cors: [
      {
        origin: ['https://app.example'],
        method: ['PUT', 'GET'],
        responseHeader: ['Content-Type', 'x-goog-meta-*', 'x-goog-if-generation-match'],
        maxAgeSeconds: 120,
      },
    ],
  });
});
afterAll(() => harness.stop());

const write = (name: string, config: Partial<GetSignedUrlConfig> = {}) =>
  harness.sign(bucket.file(name), { action: 'write', ...config });

async function codeOf(response: Response): Promise<string | undefined> {
  return /<Code>(.*?)<\/Code>/.exec(await response.text())?.[1];
}

describe('a signed PUT', () => {
  const RANGE = { 'x-goog-content-length-range': '18,18', 'x-goog-if-generation-match': '0' };
  const signed = { contentType: 'image/png', extensionHeaders: RANGE };
  const headers: Record<string, string> = { 'content-type': 'image/png', ...RANGE };
  const EXACT = 'x'.repeat(18);
  const without = (name: string) => Object.fromEntries(Object.entries(headers).filter(([n]) => n !== name));
  let counter = 0;

  it('stores an upload that matches the signed conditions', async () => {
    const url = await write('exact.png', signed);
    const response = await fetch(url, { method: 'PUT', headers, body: EXACT });
    expect(response.status).toBe(200);
    const [metadata] = await bucket.file('exact.png').getMetadata();
    expect(metadata).toMatchObject({ contentType: 'image/png', size: '18' });
    expect(response.headers.get('x-goog-generation')).toBe(String(metadata.generation));
    expect(response.headers.get('x-goog-hash')).toBe(`crc32c=${metadata.crc32c},md5=${metadata.md5Hash}`);
    expect(response.headers.get('etag')).toBe(`"${createHash('md5').update(EXACT).digest('hex')}"`);
  });

  const chunked = (text: string) =>
    new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(Buffer.from(text));
        controller.close();
      },
    });

  it.each<[string, number, string, RequestInit & { duplex?: 'half' }, ((url: string) => string)?]>([
    ['one byte more', 400, 'EntityTooLarge', { body: `${EXACT}x` }],
    ['one byte less', 400, 'EntityTooSmall', { body: EXACT.slice(1) }],
    [
      'one byte more, without a declared length',
      400,
      'EntityTooLarge',
      { body: chunked(`${EXACT}x`), duplex: 'half' },
    ],
    [
      'one byte less, without a declared length',
      400,
      'EntityTooSmall',
      { body: chunked(EXACT.slice(1)), duplex: 'half' },
    ],
    [
      'another Content-Type',
      403,
      'SignatureDoesNotMatch',
      { headers: { ...headers, 'content-type': 'text/html' } },
    ],
    [
      'no Content-Type',
      400,
      'MalformedSecurityHeader',
      { body: Buffer.from(EXACT), headers: without('content-type') },
    ],
    ['no length range', 400, 'MalformedSecurityHeader', { headers: without('x-goog-content-length-range') }],
    [
      'another length range',
      403,
      'SignatureDoesNotMatch',
      { headers: { ...headers, 'x-goog-content-length-range': '0,99' } },
    ],
    [
      'another generation',
      403,
      'SignatureDoesNotMatch',
      { headers: { ...headers, 'x-goog-if-generation-match': '1' } },
    ],
    [
      'metadata that was not signed',
      403,
      'SignatureDoesNotMatch',
      { headers: { ...headers, 'x-goog-meta-a': 'b' } },
    ],
    [
      'an ACL that was not signed',
      403,
      'SignatureDoesNotMatch',
      { headers: { ...headers, 'x-goog-acl': 'public-read' } },
    ],
    ['another method', 400, 'MalformedSecurityHeader', { method: 'GET', body: undefined, headers: {} }],
    [
      'another method with the signed headers',
      403,
      'SignatureDoesNotMatch',
      { method: 'DELETE', body: undefined },
    ],
    ['another MD5', 400, 'BadDigest', { headers: { ...headers, 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' } }],
    [
      'a changed character in the signature',
      403,
      'SignatureDoesNotMatch',
      {},
      (url) => url.replace(/.$/, (c) => (c === '0' ? '1' : '0')),
    ],
    [
      'a changed character in the name',
      403,
      'SignatureDoesNotMatch',
      {},
      (url) => url.replace('/signed/row', '/signed/raw'),
    ],
    ['an added parameter', 403, 'SignatureDoesNotMatch', {}, (url) => `${url}&x=1`],
    ['no signature', 403, 'AccessDenied', {}, (url) => url.replace(/\?.*/, '')],
  ])('rejects %s: %d %s', async (_, status, code, init, change = (url) => url) => {
    const name = `row-${counter++}.png`;
    const url = change(await write(name, signed));
    const before = await harness.filesOnDisk();
    const response = await fetch(url, { method: 'PUT', headers, body: EXACT, ...init });
    expect([response.status, await codeOf(response)]).toEqual([status, code]);
    expect(await bucket.file(name).exists()).toEqual([false]);
    expect(await harness.filesOnDisk()).toEqual(before);
  });

  it.each([
    ['expired', 601_000, 400, 'ExpiredToken'],
    ['not valid yet', -16 * 60_000, 403, 'AccessDenied'],
  ])('rejects a URL that is %s', async (_, offset, status, code) => {
    const url = await write('late.png', signed);
    clock = offset;
    const response = await fetch(url, { method: 'PUT', headers, body: EXACT }).finally(() => (clock = 0));
    expect([response.status, await codeOf(response)]).toEqual([status, code]);
  });

  it('rejects the second upload to a name that must be new', async () => {
    const url = await write('once.png', signed);
    expect((await fetch(url, { method: 'PUT', headers, body: EXACT })).status).toBe(200);
    const second = await fetch(url, { method: 'PUT', headers, body: EXACT });
    expect([second.status, await codeOf(second)]).toEqual([412, 'PreconditionFailed']);
  });

  it('lets exactly one of two concurrent uploads win', async () => {
    const before = (await harness.filesOnDisk()).length;
    const url = await write('raced.png', signed);
    const put = () => fetch(url, { method: 'PUT', headers, body: EXACT });
    const statuses = (await Promise.all([put(), put()])).map(({ status }) => status);
    expect(statuses.sort()).toEqual([200, 412]);
    expect(await harness.filesOnDisk()).toHaveLength(before + 1);
  });

  it('is reusable if it requires no generation', async () => {
    const url = await write('again.txt');
    for (const body of ['1', '2']) expect((await fetch(url, { method: 'PUT', body })).status).toBe(200);
    expect((await bucket.file('again.txt').download())[0].toString()).toBe('2');
  });

  it('checks a signed hash', async () => {
    const hash = { 'x-goog-hash': 'crc32c=AAAAAA==' };
    const url = await write('hashed.txt', { extensionHeaders: hash });
    const response = await fetch(url, { method: 'PUT', headers: hash, body: 'x' });
    expect([response.status, await codeOf(response)]).toEqual([400, 'CrcMismatch']);
  });

  it.each([
    ['the bytes that were signed', 'hello', 200],
    ['other bytes', 'hellO', 400],
  ])('compares a signed payload hash with %s', async (_, body, status) => {
    const payload = { 'x-goog-content-sha256': createHash('sha256').update('hello').digest('hex') };
    const url = await write('payload.txt', { extensionHeaders: payload });
    expect((await fetch(url, { method: 'PUT', headers: payload, body })).status).toBe(status);
  });

  it('reads metadata from headers, including unsigned HTTP headers', async () => {
    const meta = { 'x-goog-meta-color': 'grün', 'x-goog-storage-class': 'NEARLINE' };
    const url = await write('meta.txt', { extensionHeaders: meta });
    // fetch accepts only Latin-1 in headers; the bytes on the wire are UTF-8.
    const wire = { ...meta, 'x-goog-meta-color': Buffer.from('grün').toString('latin1') };
    const plain = {
      'content-type': 'text/plain',
      'content-encoding': 'br',
      'cache-control': 'no-store',
      'content-disposition': 'inline',
      'content-language': 'de',
    };
    expect((await fetch(url, { method: 'PUT', headers: { ...wire, ...plain }, body: 'x' })).status).toBe(200);
    const [metadata] = await bucket.file('meta.txt').getMetadata();
    expect(metadata).toMatchObject({
      contentType: 'text/plain',
      contentEncoding: 'br',
      cacheControl: 'no-store',
      contentDisposition: 'inline',
      contentLanguage: 'de',
      storageClass: 'NEARLINE',
      metadata: { color: 'grün' },
    });
  });

  it.each([
    ['a copy', { 'x-goog-copy-source': 'signed/exact.png' }, {}],
    ['encryption with a key of the client', { 'x-goog-encryption-algorithm': 'AES256' }, {}],
    ['an ACL', {}, { acl: '' }],
    ['a part of a multipart upload', {}, { uploadId: 'a', partNumber: '1' }],
  ])('answers %s with 501 instead of storing something else', async (_, extensionHeaders, queryParams) => {
    const url = await write('other.txt', { extensionHeaders, queryParams });
    const response = await fetch(url, { method: 'PUT', headers: extensionHeaders, body: 'x' });
    expect([response.status, await codeOf(response)]).toEqual([501, 'NotImplemented']);
    expect(await bucket.file('other.txt').exists()).toEqual([false]);
  });

  it('answers 404 for an unknown bucket', async () => {
    const url = await harness.sign(harness.storage.bucket('nowhere').file('a'), { action: 'write' });
    const response = await fetch(url, { method: 'PUT', body: 'x' });
    expect([response.status, await codeOf(response)]).toEqual([404, 'NoSuchBucket']);
  });

  it('rejects while the client is still sending and discards the rest of the body', async () => {
    const url = (await write('big.bin')).replace(/.$/, (c) => (c === '0' ? '1' : '0'));
    const response = await fetch(url, { method: 'PUT', body: Buffer.alloc(20_000_000) });
    expect([response.status, await codeOf(response)]).toEqual([403, 'SignatureDoesNotMatch']);
  });

  it('rejects an endless body as soon as it is too long', async () => {
    const range = { 'x-goog-content-length-range': '0,1000' };
    const url = await write('endless.bin', { extensionHeaders: range });
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(Buffer.alloc(65_536)),
    });
    const response = await fetch(url, { method: 'PUT', headers: range, body, duplex: 'half' });
    expect([response.status, await codeOf(response)]).toEqual([400, 'EntityTooLarge']);
  });

  it('rejects in the middle of a body and leaves the connection usable', async () => {
    const range = { 'x-goog-content-length-range': '0,1000' };
    const url = new URL(await write('middle.bin', { extensionHeaders: range }));
    const chunk = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(0x100000), Buffer.from('\r\n')]);
    const head =
      `PUT ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n` +
      'x-goog-content-length-range: 0,1000\r\nTransfer-Encoding: chunked\r\n\r\n';
    const next = `GET /storage/v1/b/signed HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`;
    const parts = [head, ...Array<Buffer>(5).fill(chunk), '0\r\n\r\n', next];
    const received = await rawExchange(url.href, parts, /storage#bucket/);
    expect(received.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 400', 'HTTP/1.1 200']);
  });

  it.each([
    ['does not request the body of a rejected upload', '99', false, 400],
    ['requests the body of an accepted upload', '5', true, 200],
  ])('%s', async (_, length, continues, status) => {
    const range = { 'x-goog-content-length-range': '5,5' };
    const url = await write(`expect-${length}.bin`, { extensionHeaders: range });
    const request = http.request(url, {
      method: 'PUT',
      headers: { ...range, expect: '100-continue', 'content-length': length },
      timeout: 10_000,
    });
    let asked = false;
    request.on('continue', () => {
      asked = true;
      request.end('12345');
    });
    request.flushHeaders();
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    response.resume();
    expect([asked, response.statusCode]).toEqual([continues, status]);
    // On an open connection, a late body would be read as the next request.
    if (!asked) expect(response.headers.connection).toBe('close');
    request.destroy();
  });

  it('leaves no file when the client disconnects during the upload', async () => {
    const before = await harness.filesOnDisk();
    const { hostname, port, pathname, search } = new URL(await write('cut.bin'));
    const socket: Socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    socket.write(
      `PUT ${pathname}${search} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Length: 1000000\r\n\r\n`,
    );
    socket.write(randomBytes(100_000));
    await until(async () => (await harness.filesOnDisk()).length > before.length);
    socket.destroy();
    await until(async () => (await harness.filesOnDisk()).length === before.length);
    expect(await bucket.file('cut.bin').exists()).toEqual([false]);
  });
});

describe('a signed GET', () => {
  beforeAll(async () => {
    await bucket.file('read.txt').save('0123456789', {
      resumable: false,
      contentType: 'text/plain',
      metadata: { contentDisposition: 'inline', metadata: { a: 'ü' } },
    });
    const raw = { resumable: false, metadata: { contentEncoding: 'gzip' } };
    await bucket.file('raw.gz').save(gzipSync('plain'), raw);
  });

  const etag = `"${createHash('md5').update('0123456789').digest('hex')}"`;

  it('closes the file when the client disconnects during the download or has read it all', async () => {
    const file = bucket.file('large.bin');
    await file.save(randomBytes(16 * 2 ** 20), { resumable: false });
    const isOpen = async () => {
      const descriptors = await readdir('/proc/self/fd');
      const files = await Promise.all(
        descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
      );
      return files.some((name) => name.startsWith(path.join(harness.dataDir, 'objects')));
    };
    const download = http.get(await harness.sign(file), { timeout: 10_000 });
    const [response] = (await once(download, 'response')) as [http.IncomingMessage];
    await once(response, 'readable');
    expect(await isOpen()).toBe(true);
    response.destroy();
    await until(async () => !(await isOpen()));
    const whole = await fetch(await harness.sign(file));
    expect((await whole.arrayBuffer()).byteLength).toBe(16 * 2 ** 20);
    await until(async () => !(await isOpen()));
  });

  it('serves bytes with their metadata', async () => {
    const response = await fetch(await harness.sign(bucket.file('read.txt')));
    expect(await response.text()).toBe('0123456789');
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/plain',
      'content-disposition': 'inline',
      'content-length': '10',
      'x-goog-stored-content-encoding': 'identity',
      'x-goog-meta-a': Buffer.from('ü').toString('latin1'),
      etag,
    });
  });

  it('returns the signed content type and disposition instead of the stored ones', async () => {
    const url = await harness.sign(bucket.file('read.txt'), {
      responseType: 'image/png',
      promptSaveAs: 'a "b" ü.png',
    });
    const response = await fetch(url);
    expect(response.headers.get('content-type')).toBe('image/png');
    expect(response.headers.get('content-disposition')).toContain('attachment; filename="a');
    expect((await fetch(url.replace('image%2Fpng', 'image%2Fgif'))).status).toBe(403);
  });

  it.each<[string, Record<string, string>, number, string]>([
    ['a range', { range: 'bytes=2-4' }, 206, '234'],
    ['If-None-Match with the current ETag', { 'if-none-match': `W/"x", ${etag}` }, 304, ''],
    ['If-None-Match with another ETag', { 'if-none-match': '"x"' }, 200, '0123456789'],
    ['If-Match with the current ETag', { 'if-match': etag }, 200, '0123456789'],
  ])('honours %s', async (_, headers, status, body) => {
    const response = await fetch(await harness.sign(bucket.file('read.txt')), { headers });
    expect([response.status, await response.text()]).toEqual([status, body]);
  });

  it('rejects If-Match with another ETag', async () => {
    const response = await fetch(await harness.sign(bucket.file('read.txt')), {
      headers: { 'if-match': '"x"' },
    });
    expect([response.status, await codeOf(response)]).toEqual([412, 'PreconditionFailed']);
  });

  it('answers 404 for a missing object', async () => {
    const response = await fetch(await harness.sign(bucket.file('absent')));
    expect([response.status, await codeOf(response)]).toEqual([404, 'NoSuchKey']);
  });

  it('serves gzip as stored or decompressed, depending on Accept-Encoding', async () => {
    const url = await harness.sign(bucket.file('raw.gz'));
    const plain = await fetch(url, { headers: { 'accept-encoding': 'identity' } });
    expect([await plain.text(), plain.headers.get('content-encoding')]).toEqual(['plain', null]);
    const stored = await fetch(url, { headers: { 'accept-encoding': 'gzip' } });
    expect([await stored.text(), stored.headers.get('content-encoding')]).toEqual(['plain', 'gzip']);
  });

  it('is valid for HEAD and no other method', async () => {
    const url = await harness.sign(bucket.file('read.txt'));
    const [whole, head] = await Promise.all([fetch(url), fetch(url, { method: 'HEAD' })]);
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect(head.headers.get('content-length')).toBe(String((await whole.arrayBuffer()).byteLength));
    expect(head.headers.get('etag')).toBe(whole.headers.get('etag'));
    for (const method of ['PUT', 'POST', 'DELETE']) expect((await fetch(url, { method })).status).toBe(403);
  });
});

it('deletes by a signed DELETE', async () => {
  await bucket.file('doomed').save('x', { resumable: false });
  const url = await harness.sign(bucket.file('doomed'), { action: 'delete' });
  expect((await fetch(url, { method: 'DELETE' })).status).toBe(204);
  expect((await fetch(url, { method: 'DELETE' })).status).toBe(404);
});

describe('CORS', () => {
  const origin = 'https://app.example';
  const ask = (headers: Record<string, string>) =>
    fetch(`${harness.emulator.url}/signed/any`, { method: 'OPTIONS', headers });

  it('returns the rules of the bucket', async () => {
    const response = await ask({
      origin,
      'access-control-request-method': 'PUT',
      'access-control-request-headers': 'content-type, X-Goog-Meta-Color',
    });
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-methods': 'PUT, GET',
      'access-control-allow-headers': 'content-type, x-goog-meta-color',
      'access-control-max-age': '120',
      vary: 'Origin',
    });
  });

  it.each<[string, Record<string, string>]>([
    ['another origin', { origin: 'https://evil.example', 'access-control-request-method': 'PUT' }],
    ['another method', { origin, 'access-control-request-method': 'DELETE' }],
    [
      'another header',
      { origin, 'access-control-request-method': 'PUT', 'access-control-request-headers': 'x-other' },
    ],
  ])('returns no CORS headers to %s', async (_, headers) => {
    const response = await ask(headers);
    expect(response.status).toBe(200);
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
    expect(response.headers.get('vary')).toBe('Origin');
  });

  it('lets the page read the response, including a rejection', async () => {
    const url = await write('cors.txt');
    for (const [target, status] of [
      [url, 200],
      [`${url}&x=1`, 403],
    ] as const) {
      const response = await fetch(target, { method: 'PUT', headers: { origin }, body: 'x' });
      expect(response.status).toBe(status);
      expect(response.headers.get('access-control-allow-origin')).toBe(origin);
      expect(response.headers.get('access-control-expose-headers')).toContain('x-goog-meta-*');
      expect(response.headers.get('vary')).toBe('Origin');
    }
  });
});
