import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CRC32C, Storage, type Bucket } from '@google-cloud/storage';
import { Harness, launchProcess, until } from './gcs.harness.js';
import { bytesOnDisk, cutAfter, progress, put, QUANTUM as Q, upTo } from './gcs-resumable.harness.js';

// Real: the emulator, its disk; sessions started by the official client or its signed URLs, used by it and by fetch.
let harness: Harness;
let bucket: Bucket;
let clock = 0;

const ORIGIN = 'https://app.example';

beforeAll(async () => {
  harness = await Harness.start({ now: () => new Date(Date.now() + clock) });
  [bucket] = await harness.storage.createBucket('resumable');
  const cors = {
    origin: [ORIGIN],
    method: ['PUT', 'POST'],
    responseHeader: ['Content-Range', 'Location', 'Range'],
  };
  await bucket.setMetadata({ cors: [cors] });
});
afterAll(() => harness.stop());

const stored = async (name: string) => (await bucket.file(name).download())[0];
const md5 = (data: Buffer) => createHash('md5').update(data).digest('base64');
const crc32c = (data: Buffer) => {
  const crc = new CRC32C();
  crc.update(data);
  return crc.toString();
};

async function startJson(name: string, query = '', init: RequestInit = {}): Promise<string> {
  const target = `${harness.emulator.url}/upload/storage/v1/b/resumable/o?uploadType=resumable&name=${name}${query}`;
  const response = await fetch(target, { method: 'POST', ...init });
  expect(response.status).toBe(200);
  return response.headers.get('location') ?? '';
}

const START = { 'x-goog-resumable': 'start' };

async function startXml(name: string, signed: Record<string, string> = {}, type?: string): Promise<Response> {
  const url = await harness.sign(bucket.file(name), {
    action: 'resumable',
    contentType: type,
    extensionHeaders: signed,
  });
  const headers = { ...START, ...signed, ...(type !== undefined && { 'content-type': type }) };
  return fetch(url, { method: 'POST', headers });
}

const locationOf = (response: Response) => response.headers.get('location') ?? '';

describe('the official client', () => {
  it.each([0, 1, Q, 3 * Q + 17])('saves %i bytes with its default settings', async (size) => {
    const data = randomBytes(size);
    await bucket.file('default').save(data, { contentType: 'video/mp4', metadata: { metadata: { a: 'b' } } });
    const [metadata] = await bucket.file('default').getMetadata();
    expect(metadata).toMatchObject({
      contentType: 'video/mp4',
      size: String(size),
      metadata: { a: 'b' },
      md5Hash: md5(data),
      crc32c: crc32c(data),
    });
    expect((await stored('default')).equals(data)).toBe(true);
  });

  it.each([0, Q - 1, Q + 1, 5 * Q + 1])('writes a stream of %i bytes in chunks', async (size) => {
    const data = randomBytes(size);
    const target = bucket.file('chunked').createWriteStream({ resumable: true, chunkSize: Q });
    await pipeline(
      Readable.from([data.subarray(0, 1000), data.subarray(1000)], { objectMode: false }),
      target,
    );
    expect((await stored('chunked')).equals(data)).toBe(true);
  });

  it('uses an existing session with the length and type declared at its start', async () => {
    const metadata = { contentType: 'image/png', contentLength: 11 };
    const [uri] = await bucket.file('handed-on').createResumableUpload({ metadata });
    expect((await put(uri, undefined, 'eleven more')).status).toBe(200);
    expect((await bucket.file('handed-on').getMetadata())[0]).toMatchObject({
      contentType: 'image/png',
      size: '11',
    });
  });

  it('resumes after a cut connection', async () => {
    const data = randomBytes(4 * Q + 99);
    const [uri] = await bucket.file('cut').createResumableUpload();
    const sent = 2 * Q + 5000;
    const onDisk = (await bytesOnDisk(harness)) + sent;
    await cutAfter(harness, { uri, range: `bytes 0-*/${data.length}`, body: data, sent, onDisk });
    await until(async () => (await progress(uri))[1] === upTo(2 * Q)[1]);
    await bucket
      .file('cut')
      .save(data.subarray(2 * Q), { uri, offset: 2 * Q, resumeCRC32C: crc32c(data.subarray(0, 2 * Q)) });
    expect((await stored('cut')).equals(data)).toBe(true);
  });

  it('rejects a name that must be new, at the start and again at the end', async () => {
    const options = { preconditionOpts: { ifGenerationMatch: 0 } };
    const [uri] = await bucket.file('new').createResumableUpload(options);
    await bucket.file('new').save('first', options);
    await expect(bucket.file('new').createResumableUpload(options)).rejects.toMatchObject({ status: 412 });
    expect((await put(uri, undefined, 'second')).status).toBe(412);
    expect((await stored('new')).toString()).toBe('first');
  });
});

describe('a session', () => {
  const data = randomBytes(3 * Q + 1234);

  it('accepts chunks, reports its progress and repeats its final answer', async () => {
    const uri = await startJson('steps');
    expect(await progress(uri)).toEqual([308, null]);
    const first = await put(uri, `bytes 0-${2 * Q - 1}/*`, data.subarray(0, 2 * Q));
    expect([first.status, first.headers.get('range')]).toEqual(upTo(2 * Q));
    expect(await progress(uri)).toEqual(upTo(2 * Q));
    const last = await put(uri, `bytes ${2 * Q}-${data.length - 1}/${data.length}`, data.subarray(2 * Q));
    const object = (await last.json()) as Record<string, unknown>;
    expect(object).toMatchObject({
      kind: 'storage#object',
      name: 'steps',
      md5Hash: md5(data),
      crc32c: crc32c(data),
    });
    for (const range of ['bytes */*', `bytes */${data.length}`, undefined]) {
      const again = await put(uri, range);
      expect([again.status, await again.json()]).toEqual([200, object]);
    }
    expect((await stored('steps')).equals(data)).toBe(true);
  });

  it('skips bytes that it already has', async () => {
    const uri = await startJson('overlap');
    await put(uri, `bytes 0-${2 * Q - 1}/*`, data.subarray(0, 2 * Q));
    const again = await put(uri, `bytes 0-${Q - 1}/*`, data.subarray(0, Q));
    expect([again.status, again.headers.get('range')]).toEqual(upTo(2 * Q));
    expect((await put(uri, `bytes ${Q}-*/*`, data.subarray(Q))).status).toBe(200);
    expect((await stored('overlap')).equals(data)).toBe(true);
  });

  it('keeps only whole multiples of 256 KiB of an uneven chunk', async () => {
    const uri = await startJson('uneven');
    const chunk = await put(uri, `bytes 0-${2 * Q + 99}/*`, data.subarray(0, 2 * Q + 100));
    expect([chunk.status, chunk.headers.get('range')]).toEqual(upTo(2 * Q));
    expect((await put(uri, `bytes ${2 * Q}-*/*`, data.subarray(2 * Q))).status).toBe(200);
    expect((await stored('uneven')).equals(data)).toBe(true);
  });

  it('finishes when it is told that its bytes are complete', async () => {
    const uri = await startJson('told');
    await put(uri, `bytes 0-${Q - 1}/*`, data.subarray(0, Q));
    expect((await put(uri, `bytes */${Q}`)).status).toBe(200);
    expect((await stored('told')).equals(data.subarray(0, Q))).toBe(true);
  });

  it.each<[string, string | undefined, number, number, string]>([
    ['a gap', `bytes ${2 * Q}-${3 * Q - 1}/*`, Q, 503, 'exceeds already uploaded size of 262144 byte(s)'],
    ['a chunk too small', `bytes ${Q}-${Q + 99}/*`, 100, 400, 'required to be equal or greater than 262144'],
    ['a body shorter than its range', `bytes ${Q}-${2 * Q - 1}/*`, Q - 1, 400, 'has 262143 bytes'],
    ['an invalid range', 'bytes 5', Q, 400, 'not well-formed'],
    ['a body that is shorter than the stored bytes', 'bytes 0-*/*', 100, 400, 'already uploaded'],
  ])('rejects %s and stays usable', async (_, range, size, status, message) => {
    const uri = await startJson('refusing');
    await put(uri, `bytes 0-${Q - 1}/*`, data.subarray(0, Q));
    const response = await put(uri, range, Buffer.alloc(size));
    expect([response.status, await response.text()]).toEqual([status, expect.stringContaining(message)]);
    expect(await progress(uri)).toEqual(upTo(Q));
    expect((await put(uri, `bytes ${Q}-*/*`, data.subarray(Q))).status).toBe(200);
    expect((await stored('refusing')).equals(data)).toBe(true);
  });

  it('enforces the declared total size', async () => {
    const uri = await startJson('total', '', { headers: { 'x-upload-content-length': '10' } });
    expect((await put(uri, undefined, 'eleven more')).status).toBe(400);
    expect((await put(uri, 'bytes 0-10/11', 'eleven more')).status).toBe(400);
    expect((await put(uri, undefined, 'ten bytes.')).status).toBe(200);
  });

  it.each<[string, Record<string, string>]>([
    ['x-goog-hash', { 'x-goog-hash': 'crc32c=AAAAAA==' }],
    ['Content-MD5', { 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' }],
  ])('checks %s of the last request', async (_, wrong) => {
    const uri = await startJson('hashed');
    await put(uri, `bytes 0-${Q - 1}/*`, data.subarray(0, Q), wrong);
    const rest = data.subarray(Q);
    expect((await put(uri, `bytes ${Q}-*/*`, rest, wrong)).status).toBe(400);
    const right = { 'x-goog-hash': `crc32c=${crc32c(data)},md5=${md5(data)}` };
    expect((await put(uri, `bytes ${Q}-*/*`, rest, right)).status).toBe(200);
  });

  it('checks a hash declared at its start', async () => {
    const body = JSON.stringify({ crc32c: 'AAAAAA==' });
    const uri = await startJson('hashed-early', '', { body });
    expect((await put(uri, undefined, 'x')).status).toBe(400);
    expect(await bucket.file('hashed-early').exists()).toEqual([false]);
  });

  it('answers 200 to a client that cannot handle 308', async () => {
    const uri = await startJson('no-308');
    const response = await put(uri, 'bytes */*', '', { 'x-guploader-no-308': 'yes' });
    expect([response.status, response.headers.get('x-http-status-code-override')]).toEqual([200, '308']);
  });

  it('ends when it is cancelled and leaves no file', async () => {
    const before = await harness.filesOnDisk();
    const uri = await startJson('cancelled');
    await put(uri, `bytes 0-${Q - 1}/*`, data.subarray(0, Q));
    for (const method of ['DELETE', 'DELETE', 'PUT']) expect((await fetch(uri, { method })).status).toBe(499);
    expect(await harness.filesOnDisk()).toEqual(before);
    expect(await bucket.file('cancelled').exists()).toEqual([false]);
  });

  it.each([
    ['in the middle of its body', Q + 1000, data.length],
    ['with all but its last byte sent', data.length - 1, data.length],
  ])('ends immediately when it is cancelled during a request, %s', async (_, sent, total) => {
    const before = await harness.filesOnDisk();
    const bytesBefore = await bytesOnDisk(harness);
    const uri = await startJson('cancelled-under-way');
    const headers = { 'content-range': `bytes 0-*/${total}`, 'content-length': total };
    const running = http.request(uri, { method: 'PUT', headers, timeout: 20_000 });
    const over = once(running, 'error').catch((error: unknown) => [error]);
    running.write(data.subarray(0, sent));
    await until(async () => (await bytesOnDisk(harness)) >= bytesBefore + sent);
    expect((await fetch(uri, { method: 'DELETE' })).status).toBe(499);
    expect(await over).toEqual([expect.objectContaining({ code: 'ECONNRESET' })]);
    expect(await harness.filesOnDisk()).toEqual(before);
    expect(await bucket.file('cancelled-under-way').exists()).toEqual([false]);
  });

  it('finishes or ends, with no state in between, when requests race with its cancellation', async () => {
    const before = await harness.filesOnDisk();
    const uri = await startJson('cancelled-in-a-storm');
    const puts = () =>
      Array.from({ length: 10 }, () => put(uri, `bytes 0-*/${data.length}`, data).catch(() => null));
    const storm = puts();
    const cancelled = fetch(uri, { method: 'DELETE' });
    storm.push(...puts());
    const { status } = await cancelled;
    const answers = await Promise.all(storm);
    const finished = answers.some((answer) => answer?.status === 200);
    // Either the upload finished or the cancellation won.
    expect(status).toBe(finished ? 410 : 499);
    expect(await bucket.file('cancelled-in-a-storm').exists()).toEqual([finished]);
    if (finished) await bucket.file('cancelled-in-a-storm').delete();
    await until(async () => (await harness.filesOnDisk()).length === before.length);
  });

  it('reports its end to the page that it was started for', async () => {
    const uri = await startJson('over', '', { headers: { origin: ORIGIN, 'x-goog-api-client': 'test' } });
    await fetch(uri, { method: 'DELETE' });
    const answer = await put(uri, 'bytes */*', '', { origin: ORIGIN });
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([499, ORIGIN]);
  });

  it('accepts no more bytes than were declared at its start', async () => {
    const uri = await startJson('announced', '', { headers: { 'x-upload-content-length': String(Q) } });
    const before = await bytesOnDisk(harness);
    for (const range of [undefined, 'bytes 0-*/*', `bytes 0-*/${2 * Q}`, `bytes 0-${2 * Q - 1}/*`]) {
      expect([range, (await put(uri, range, Buffer.alloc(2 * Q))).status]).toEqual([range, 400]);
    }
    expect(await bytesOnDisk(harness)).toBeLessThanOrEqual(before + Q);
    expect(await bucket.file('announced').exists()).toEqual([false]);
    expect((await put(uri, `bytes 0-${Q - 1}/${Q}`, Buffer.alloc(Q))).status).toBe(200);
  });

  it('lets the later of two requests win without corrupting the bytes', async () => {
    const uri = await startJson('twice');
    const headers = { 'content-range': `bytes 0-*/${data.length}`, 'content-length': data.length };
    const first = http.request(uri, { method: 'PUT', headers, timeout: 20_000 });
    const cut = once(first, 'error').catch((error: unknown) => [error]);
    const before = await bytesOnDisk(harness);
    first.write(data.subarray(0, Q + 1000));
    await until(async () => (await bytesOnDisk(harness)) >= before + Q + 1000);
    const second = await put(uri, `bytes 0-*/${data.length}`, data);
    expect(second.status).toBe(200);
    expect(await cut).toEqual([expect.objectContaining({ code: 'ECONNRESET' })]);
    expect((await stored('twice')).equals(data)).toBe(true);
  });

  it('is found only by its id, in its own API and bucket', async () => {
    const uri = await startJson('own');
    await harness.storage.createBucket('other');
    expect((await put(uri.replace('/b/resumable/', '/b/other/'), undefined, 'x')).status).toBe(404);
    expect(
      (await put(uri.replace('/upload/storage/v1/b/resumable/o', '/resumable/own'), undefined, 'x')).status,
    ).toBe(404);
    expect((await put(uri.replace(/.$/, '_'), undefined, 'x')).status).toBe(404);
    expect((await put(uri, undefined, 'x')).status).toBe(200);
  });

  it('is restricted to the origin it was started for', async () => {
    const [uri] = await bucket.file('page').createResumableUpload({ origin: 'https://page.example' });
    for (const [origin, allowed] of [
      ['https://page.example', 'https://page.example'],
      ['https://evil.example', null],
    ] as const) {
      for (const method of ['OPTIONS', 'PUT']) {
        const headers = { origin, 'content-range': 'bytes */*' };
        const response = await fetch(uri, { method, headers });
        expect(response.headers.get('access-control-allow-origin')).toBe(allowed);
      }
    }
  });
});

describe('a session of the XML API', () => {
  const RANGE = { 'x-goog-content-length-range': `${Q},${2 * Q}`, 'x-goog-if-generation-match': '0' };

  it('is started by a signed POST, which fixes its type and size', async () => {
    const started = await startXml('signed/ü.png', RANGE, 'image/png');
    expect(started.status).toBe(201);
    const uri = locationOf(started);
    expect(new URL(uri).search).toMatch(/^\?upload_id=[\w-]{43}$/);
    const data = randomBytes(Q + 1);
    expect((await put(uri, `bytes 0-${Q - 1}/*`, data.subarray(0, Q))).status).toBe(308);
    const last = await put(uri, `bytes ${Q}-${Q}/${Q + 1}`, data.subarray(Q), {
      'content-type': 'text/html',
    });
    expect([last.status, await last.text()]).toEqual([200, '']);
    expect(last.headers.get('x-goog-hash')).toBe(`crc32c=${crc32c(data)},md5=${md5(data)}`);
    const [metadata] = await bucket.file('signed/ü.png').getMetadata();
    expect(metadata).toMatchObject({ contentType: 'image/png', size: String(Q + 1) });
  });

  it.each<[string, Record<string, string>, Record<string, string>, string, number]>([
    ['another type than the signed one', {}, { 'content-type': 'text/html' }, 'SignatureDoesNotMatch', 403],
    ['a header that was not signed', {}, { 'x-goog-meta-a': 'b' }, 'SignatureDoesNotMatch', 403],
    ['another value for x-goog-resumable', {}, { 'x-goog-resumable': 'stop' }, 'SignatureDoesNotMatch', 403],
  ])('is not started with %s', async (_, signed, headers, code, status) => {
    const url = await harness.sign(bucket.file('never'), {
      action: 'resumable',
      contentType: 'image/png',
      extensionHeaders: signed,
    });
    const sent = { ...START, 'content-type': 'image/png', ...signed, ...headers };
    const response = await fetch(url, { method: 'POST', headers: sent });
    expect([response.status, await response.text()]).toEqual([
      status,
      expect.stringContaining(`<Code>${code}<`),
    ]);
  });

  it.each<[string, string, number, string]>([
    ['too many declared bytes', `bytes 0-*/${2 * Q + 1}`, 1, 'EntityTooLarge'],
    ['too few declared bytes', `bytes 0-*/${Q - 1}`, 1, 'EntityTooSmall'],
    ['too many received bytes', 'bytes 0-*/*', 2 * Q + 1, 'EntityTooLarge'],
    ['too few received bytes', 'bytes 0-*/*', Q - 1, 'EntityTooSmall'],
  ])('rejects %s', async (_, range, size, code) => {
    const uri = locationOf(await startXml('sized', RANGE));
    const response = await put(uri, range, Buffer.alloc(size));
    expect([response.status, await response.text()]).toEqual([
      400,
      expect.stringContaining(`<Code>${code}<`),
    ]);
    expect(await bucket.file('sized').exists()).toEqual([false]);
  });

  it('rejects an endless body as soon as it is too long', async () => {
    const uri = locationOf(await startXml('endless', { 'x-goog-content-length-range': `0,${Q + Q / 2}` }));
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(Buffer.alloc(65_536)),
    });
    const response = await fetch(uri, {
      method: 'PUT',
      body,
      duplex: 'half',
      headers: { 'content-range': 'bytes 0-*/*' },
    });
    expect(response.status).toBe(400);
    expect(await progress(uri)).toEqual(upTo(Q));
  });

  it('rejects at the end when another upload was first', async () => {
    const uri = locationOf(await startXml('raced', { 'x-goog-if-generation-match': '0' }));
    await bucket.file('raced').save('first', { resumable: false });
    const response = await put(uri, undefined, 'second');
    expect([response.status, await response.text()]).toEqual([
      412,
      expect.stringContaining('PreconditionFailed'),
    ]);
    expect((await startXml('raced', { 'x-goog-if-generation-match': '0' })).status).toBe(412);
  });

  it('requires a signature and exposes nothing but itself', async () => {
    const target = `${harness.emulator.url}/resumable/unsigned`;
    expect((await fetch(target, { method: 'POST', headers: START })).status).toBe(403);
    const uri = locationOf(await startXml('unsigned'));
    await bucket.file('unsigned').save('secret', { resumable: false });
    expect((await fetch(uri)).status).toBe(405);
    expect((await put(uri.replace('/unsigned?', '/default?'), undefined, 'x')).status).toBe(404);
  });

  it('can be started and used by a page that the bucket allows', async () => {
    const url = await harness.sign(bucket.file('page'), { action: 'resumable' });
    const started = await fetch(url, { method: 'POST', headers: { ...START, origin: ORIGIN } });
    const uri = locationOf(started);
    const ask = {
      origin: ORIGIN,
      'access-control-request-method': 'PUT',
      'access-control-request-headers': 'content-range',
    };
    const asked = await fetch(uri, { method: 'OPTIONS', headers: ask });
    expect(asked.headers.get('access-control-allow-headers')).toBe('content-range');
    const chunk = await put(uri, `bytes 0-${Q - 1}/*`, Buffer.alloc(Q), { origin: ORIGIN });
    for (const response of [started, asked, chunk]) {
      expect(response.headers.get('access-control-allow-origin')).toBe(ORIGIN);
    }
    for (const response of [started, chunk]) {
      expect(response.headers.get('access-control-expose-headers')).toBe('Content-Range, Location, Range');
    }
  });
});

describe('a persisted session', () => {
  it('survives a restart with its bytes and its metadata', async () => {
    const data = randomBytes(2 * Q + 7);
    const uri = await startJson('restarted', '&ifGenerationMatch=0', {
      headers: { 'x-upload-content-type': 'image/png' },
    });
    await put(uri, `bytes 0-${Q - 1}/*`, data.subarray(0, Q));
    await harness.restart();
    bucket = harness.storage.bucket('resumable');
    const moved = harness.emulator.url + uri.slice(new URL(uri).origin.length);
    expect(await progress(moved)).toEqual(upTo(Q));
    const last = await put(moved, `bytes ${Q}-*/*`, data.subarray(Q));
    expect(await last.json()).toMatchObject({
      contentType: 'image/png',
      md5Hash: md5(data),
      crc32c: crc32c(data),
    });
    expect((await stored('restarted')).equals(data)).toBe(true);
  });

  it('survives a process that is killed during a request, with all confirmed bytes', async () => {
    const data = randomBytes(80 * Q);
    await harness.emulator.close();
    const { child, url } = await launchProcess(harness.dataDir);
    const client = new Storage({ apiEndpoint: url, projectId: 'test' });
    const [uri] = await client.bucket('resumable').file('killed').createResumableUpload();
    const headers = { 'content-range': `bytes 0-*/${data.length}`, 'content-length': data.length };
    const request = http.request(uri, { method: 'PUT', headers, timeout: 20_000 });
    const failed = once(request, 'error').catch((error: unknown) => error);
    request.write(data.subarray(0, 79 * Q));
    await until(async () => (await progress(uri))[1] !== null);
    const [, confirmed] = await progress(uri);
    child.kill('SIGKILL');
    await Promise.all([failed, once(child, 'exit')]);

    await harness.restart();
    bucket = harness.storage.bucket('resumable');
    const moved = harness.emulator.url + uri.slice(url.length);
    const [status, range] = await progress(moved);
    const offset = Number(range?.slice('bytes=0-'.length)) + 1;
    expect(status).toBe(308);
    expect(offset).toBeGreaterThanOrEqual(Number(confirmed?.slice('bytes=0-'.length)) + 1);
    const last = await put(moved, `bytes ${offset}-*/*`, data.subarray(offset));
    expect(await last.json()).toMatchObject({
      md5Hash: md5(data),
      crc32c: crc32c(data),
      size: String(data.length),
    });
    expect((await stored('killed')).equals(data)).toBe(true);
  });

  it('expires after a week', async () => {
    const uri = await startJson('old');
    await put(uri, `bytes 0-${Q - 1}/*`, Buffer.alloc(Q));
    clock = 7 * 24 * 3_600_000 - 60_000;
    expect(await progress(uri)).toEqual(upTo(Q));
    clock += 60_000;
    expect((await put(uri, 'bytes */*')).status).toBe(410);
    // Starting another session deletes expired ones.
    await startJson('next');
    await until(async () => (await put(uri, 'bytes */*')).status === 404);
    const objects = (await bucket.getFiles())[0].length;
    await until(async () => (await harness.filesOnDisk()).length === objects);
    clock = 0;
  });
});
