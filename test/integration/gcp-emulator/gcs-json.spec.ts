import { createHash, randomBytes } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Bucket } from '@google-cloud/storage';
import { Harness, rawExchange } from './gcs.harness.js';

// Real: the emulator, its disk, the official client.
let harness: Harness;
let bucket: Bucket;

beforeAll(async () => {
  harness = await Harness.start();
  [bucket] = await harness.storage.createBucket('json-tests');
});
afterAll(() => harness.stop());

const save = (name: string, data: string | Buffer, options: object = {}) =>
  bucket.file(name).save(data, { resumable: false, ...options });

describe('buckets', () => {
  it('keeps settings, merges patches and counts metagenerations', async () => {
    const cors = [
      { origin: ['https://app.example'], method: ['PUT'], responseHeader: ['ETag'], maxAgeSeconds: 60 },
    ];
    const [made] = await harness.storage.createBucket('settings', { storageClass: 'NEARLINE', cors });
    await made.setMetadata({
      lifecycle: { rule: [{ action: { type: 'Delete' }, condition: { age: 1 } }] },
      iamConfiguration: { uniformBucketLevelAccess: { enabled: true } },
      softDeletePolicy: { retentionDurationSeconds: 0 },
      versioning: { enabled: true },
    });
    await made.setMetadata({ lifecycle: null, labels: { a: 'b' } });
    const [metadata] = await made.getMetadata();
    expect(metadata).toMatchObject({
      name: 'settings',
      storageClass: 'NEARLINE',
      cors,
      metageneration: '3',
      labels: { a: 'b' },
      iamConfiguration: { uniformBucketLevelAccess: { enabled: true } },
      softDeletePolicy: { retentionDurationSeconds: 0 },
      versioning: { enabled: true },
    });
    expect(metadata.lifecycle).toBeUndefined();
    await expect(made.setMetadata({ labels: {} }, { ifMetagenerationMatch: 2 })).rejects.toMatchObject({
      code: 412,
    });
    const [all] = await harness.storage.getBuckets();
    expect(all.map(({ name }) => name)).toEqual(['json-tests', 'settings']);
  });

  it.each([
    ['a second bucket of the same name', () => harness.storage.createBucket('json-tests'), 409],
    ['an unknown bucket', () => harness.storage.bucket('nowhere').getMetadata(), 404],
    ['a bucket name that GCS rejects', () => harness.storage.createBucket('No_Good'), 400],
    ['malformed CORS rules', () => bucket.setMetadata({ cors: [{ origin: '*' }] as never }), 400],
  ])('rejects %s', async (_, act, code) => {
    await expect(act()).rejects.toMatchObject({ code });
  });

  it('deletes only empty buckets', async () => {
    const [made] = await harness.storage.createBucket('to-delete');
    await made.file('a').save('x', { resumable: false });
    await expect(made.delete()).rejects.toMatchObject({ code: 409 });
    await made.file('a').delete();
    await made.delete();
    expect(await made.exists()).toEqual([false]);
  });

  it('reports errors in the format of the JSON API', async () => {
    const response = await fetch(`${harness.emulator.url}/storage/v1/b/nowhere`);
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({
      error: {
        code: 404,
        message: 'The specified bucket does not exist.',
        errors: [{ message: 'The specified bucket does not exist.', domain: 'global', reason: 'notFound' }],
      },
    });
  });
});

describe('objects', () => {
  it('stores bytes and metadata and returns hashes that the client verifies', async () => {
    const name = 'a/b c/ü.bin';
    const data = randomBytes(3_000_000);
    await save(name, data, {
      contentType: 'image/png',
      metadata: { cacheControl: 'no-cache', contentDisposition: 'inline', metadata: { k: 'wert ü' } },
    });
    const [metadata] = await bucket.file(name).getMetadata();
    expect(metadata).toMatchObject({
      name,
      size: String(data.length),
      contentType: 'image/png',
      cacheControl: 'no-cache',
      contentDisposition: 'inline',
      metageneration: '1',
      storageClass: 'STANDARD',
      md5Hash: createHash('md5').update(data).digest('base64'),
      metadata: { k: 'wert ü' },
    });
    const [bytes] = await bucket.file(name).download({ validation: 'crc32c' });
    expect(bytes.equals(data)).toBe(true);
    const [md5Checked] = await bucket.file(name).download({ validation: 'md5' });
    expect(md5Checked.equals(data)).toBe(true);
  });

  it.each([0, 1])('stores %d bytes', async (size) => {
    await save(`tiny-${size}`, Buffer.alloc(size, 7));
    const [bytes] = await bucket.file(`tiny-${size}`).download();
    expect(bytes).toEqual(Buffer.alloc(size, 7));
  });

  it('stores bytes that look like the end of a multipart body', async () => {
    const data = Buffer.from('\r\n--\r\n--boundary\r\n\r\n--boundary--\r\n');
    await save('boundaries', data);
    expect((await bucket.file('boundaries').download())[0]).toEqual(data);
  });

  it('rejects bytes that do not match the declared hash and keeps nothing', async () => {
    const before = await harness.filesOnDisk();
    const upload = save('corrupt', 'x', { metadata: { crc32c: 'AAAAAA==' }, validation: false });
    await expect(upload).rejects.toMatchObject({ code: 400 });
    expect(await bucket.file('corrupt').exists()).toEqual([false]);
    expect(await harness.filesOnDisk()).toEqual(before);
  });

  it('patches metadata', async () => {
    await save('patched', 'x', {
      metadata: { contentType: 'text/plain', metadata: { gone: '1', kept: '2' } },
    });
    const [metadata] = await bucket.file('patched').setMetadata({
      customTime: '2026-01-01T00:00:00.000Z',
      cacheControl: 'no-store',
      metadata: { gone: null, added: '3' },
    });
    expect(metadata).toMatchObject({
      metageneration: '2',
      contentType: 'text/plain',
      cacheControl: 'no-store',
      customTime: '2026-01-01T00:00:00.000Z',
      metadata: { kept: '2', added: '3' },
    });
    expect(metadata.metadata).not.toHaveProperty('gone');
    const evil = bucket.file('patched').setMetadata({ contentDisposition: 'a\r\nx-evil: 1' });
    await expect(evil).rejects.toMatchObject({ code: 400 });
  });

  it('does not delete or replace an object on hold', async () => {
    const file = bucket.file('held');
    await save('held', 'x', { metadata: { temporaryHold: true } });
    await expect(file.delete()).rejects.toMatchObject({ code: 403 });
    await expect(save('held', 'y')).rejects.toMatchObject({ code: 403 });
    await file.setMetadata({ temporaryHold: false });
    await file.delete();
  });

  it('assigns strictly increasing generations', async () => {
    const generations: number[] = [];
    for (let i = 0; i < 5; i++) {
      await save('growing', String(i));
      generations.push(Number((await bucket.file('growing').getMetadata())[0].generation));
    }
    expect(generations).toEqual([...new Set(generations)].sort((a, b) => a - b));
  });

  it('keeps serving a download while the object is replaced and deleted', async () => {
    const data = randomBytes(8_000_000);
    await save('replaced', data);
    const { url } = harness.emulator;
    const response = await fetch(`${url}/storage/v1/b/json-tests/o/replaced?alt=media`);
    await save('replaced', 'new');
    await bucket.file('replaced').delete();
    expect(Buffer.from(await response.arrayBuffer()).equals(data)).toBe(true);
  });
});

describe('preconditions', () => {
  const wrong = 5;
  const current = async (name: string) => Number((await bucket.file(name).getMetadata())[0].generation);

  beforeAll(() => save('conditional', 'x'));

  it.each<[string, () => Promise<unknown>, number]>([
    [
      'a write to an existing name that must be new',
      () => save('conditional', 'y', { preconditionOpts: { ifGenerationMatch: 0 } }),
      412,
    ],
    [
      'a write over another generation',
      () => save('conditional', 'y', { preconditionOpts: { ifGenerationMatch: wrong } }),
      412,
    ],
    [
      'a write over a generation of a missing object',
      () => save('absent', 'y', { preconditionOpts: { ifGenerationMatch: wrong } }),
      412,
    ],
    [
      'a patch of another metageneration',
      () => bucket.file('conditional').setMetadata({ metadata: {} }, { ifMetagenerationMatch: 7 }),
      412,
    ],
    [
      'a delete of another generation',
      () => bucket.file('conditional').delete({ ifGenerationMatch: wrong }),
      412,
    ],
    [
      'reading a generation that is not live',
      () => bucket.file('conditional', { generation: wrong }).getMetadata(),
      404,
    ],
    [
      'downloading a generation that is not live',
      () => bucket.file('conditional', { generation: wrong }).download(),
      404,
    ],
    [
      'deleting a generation that is not live',
      () => bucket.file('conditional', { generation: wrong }).delete(),
      404,
    ],
    ['deleting a missing object', () => bucket.file('absent').delete(), 404],
    [
      'copying from a generation that is not live',
      () => bucket.file('conditional', { generation: wrong }).copy(bucket.file('copy')),
      404,
    ],
    [
      'copying over another generation',
      () =>
        bucket
          .file('conditional')
          .copy(bucket.file('conditional2'), { preconditionOpts: { ifGenerationMatch: wrong } }),
      412,
    ],
  ])('rejects %s', async (_, act, code) => {
    await expect(act()).rejects.toMatchObject({ code });
    expect((await bucket.file('conditional').download())[0].toString()).toBe('x');
  });

  it.each([
    ['ifGenerationNotMatch of a read', 'GET', '/o/conditional', 'ifGenerationNotMatch', 304],
    [
      'ifMetagenerationNotMatch of a read',
      'GET',
      '/o/conditional?alt=media',
      'ifMetagenerationNotMatch',
      304,
    ],
    ['ifGenerationNotMatch of a delete', 'DELETE', '/o/conditional', 'ifGenerationNotMatch', 412],
    [
      'ifSourceGenerationNotMatch of a rewrite',
      'POST',
      '/o/conditional/rewriteTo/b/json-tests/o/c',
      'ifSourceGenerationNotMatch',
      412,
    ],
  ])('honours %s', async (_, method, route, parameter, status) => {
    const value = parameter.includes('Metageneration') ? 1 : await current('conditional');
    const glue = route.includes('?') ? '&' : '?';
    const url = `${harness.emulator.url}/storage/v1/b/json-tests${route}${glue}${parameter}=${value}`;
    expect((await fetch(url, { method })).status).toBe(status);
  });

  it.each([
    ['ifSourceGenerationMatch', '5', 412],
    ['ifSourceMetagenerationMatch', '1', 200],
    ['sourceGeneration', '5', 404],
    ['ifMetagenerationMatch', '1', 412],
  ])('honours %s=%s of a rewrite', async (parameter, value, status) => {
    const route = `o/conditional/rewriteTo/b/json-tests/o/${parameter}`;
    const url = `${harness.emulator.url}/storage/v1/b/json-tests/${route}?${parameter}=${value}`;
    expect((await fetch(url, { method: 'POST' })).status).toBe(status);
  });

  it('rejects a precondition that is not a number', async () => {
    const url = `${harness.emulator.url}/storage/v1/b/json-tests/o/conditional?ifGenerationMatch=1x`;
    expect((await fetch(url)).status).toBe(400);
  });

  it('proceeds when the generation matches', async () => {
    const generation = await current('conditional');
    await save('conditional', 'x', { preconditionOpts: { ifGenerationMatch: generation } });
    await bucket.file('conditional', { generation: await current('conditional') }).getMetadata();
  });

  it('lets exactly one of three concurrent first writes win', async () => {
    const before = (await harness.filesOnDisk()).length;
    const data = randomBytes(2_000_000);
    const write = () => save('raced', data, { preconditionOpts: { ifGenerationMatch: 0 } });
    const results = await Promise.allSettled([write(), write(), write()]);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(results.filter(({ status }) => status === 'rejected')).toEqual(
      Array(2).fill(expect.objectContaining({ reason: expect.objectContaining({ code: 412 }) as unknown })),
    );
    expect(await harness.filesOnDisk()).toHaveLength(before + 1);
  });
});

describe('rewrite', () => {
  const contentType = 'video/mp4';
  beforeAll(() =>
    save('source', 'bytes', { metadata: { contentType, cacheControl: 'no-cache', metadata: { a: '1' } } }),
  );

  it('copies metadata when none is given', async () => {
    const [copy] = await bucket.file('source').copy(bucket.file('copied'));
    const [metadata] = await copy.getMetadata();
    expect(metadata).toMatchObject({
      contentType,
      cacheControl: 'no-cache',
      metadata: { a: '1' },
      size: '5',
    });
    await bucket.file('source').getMetadata();
    expect((await copy.download())[0].toString()).toBe('bytes');
  });

  it('replaces all metadata when some is given', async () => {
    const [copy] = await bucket.file('source').copy(bucket.file('replaced-metadata'), {
      contentType: 'video/webm',
      metadata: { z: '1' },
    });
    const [metadata] = await copy.getMetadata();
    expect(metadata).toMatchObject({ contentType: 'video/webm', metadata: { z: '1' } });
    expect(metadata.cacheControl).toBeUndefined();
  });

  it('writes to another bucket, where the copy outlives its source', async () => {
    const [other] = await harness.storage.createBucket('rewrite-target');
    await save('moving', 'bytes');
    await bucket.file('moving').copy(other.file('moved'), { preconditionOpts: { ifGenerationMatch: 0 } });
    await bucket.file('moving').delete();
    expect((await other.file('moved').download())[0].toString()).toBe('bytes');
  });

  it('changes the storage class of an object in place', async () => {
    await save('colder', 'bytes');
    await bucket.file('colder').setStorageClass('COLDLINE');
    const [metadata] = await bucket.file('colder').getMetadata();
    expect(metadata).toMatchObject({ storageClass: 'COLDLINE', size: '5' });
  });
});

describe('listing', () => {
  let listed: Bucket;
  const names = [
    'a',
    'p/1',
    'p/2',
    'p/q/1',
    'p/q/2',
    'p/q/\u{10FFFF}x',
    'p/r/1',
    'z',
    'é',
    '\u{FFFF}',
    '\u{1F600}',
  ];

  beforeAll(async () => {
    [listed] = await harness.storage.createBucket('listing');
    for (const name of names) await listed.file(name).save(name, { resumable: false });
  });

  /** Reads all pages, as the pagination of the client does without a limit. */
  async function all(query: object): Promise<{ items: string[]; prefixes: string[] }> {
    const found: { items: string[]; prefixes: string[] } = { items: [], prefixes: [] };
    let pageToken: string | undefined;
    do {
      const [files, next, response] = await listed.getFiles({ autoPaginate: false, ...query, pageToken });
      found.items.push(...files.map(({ name }) => name));
      found.prefixes.push(...((response as { prefixes?: string[] }).prefixes ?? []));
      pageToken = (next as { pageToken?: string } | null)?.pageToken;
    } while (pageToken);
    return found;
  }

  it.each<[string, object, string[]]>([
    ['in the order of UTF-8 bytes', {}, names],
    ['below a prefix', { prefix: 'p/q/' }, ['p/q/1', 'p/q/2', 'p/q/\u{10FFFF}x']],
    [
      'between offsets',
      { startOffset: 'p/2', endOffset: 'p/r/' },
      ['p/2', 'p/q/1', 'p/q/2', 'p/q/\u{10FFFF}x'],
    ],
    ['page by page', { maxResults: 3 }, names],
    ['below a prefix without objects', { prefix: 'nothing' }, []],
  ])('lists %s', async (_, query, expected) => {
    expect(await all(query)).toEqual({ items: expected, prefixes: [] });
  });

  it.each([1, 2, 3, 1000])('groups common prefixes with %d results per page', async (maxResults) => {
    const found = await all({ prefix: 'p/', delimiter: '/', maxResults });
    expect(found).toEqual({ items: ['p/1', 'p/2'], prefixes: ['p/q/', 'p/r/'] });
  });
});

describe('media', () => {
  const media = (name: string, headers: Record<string, string> = {}) =>
    fetch(`${harness.emulator.url}/storage/v1/b/json-tests/o/${name}?alt=media`, { headers });
  const identity = { 'accept-encoding': 'identity' };

  beforeAll(async () => {
    await save('ten', '0123456789', { contentType: 'text/plain' });
    await save('gzipped', gzipSync('plain text'), {
      metadata: { contentEncoding: 'gzip', contentType: 'text/plain' },
    });
  });

  it.each([
    ['bytes=2-4', 206, '234', 'bytes 2-4/10'],
    ['bytes=7-', 206, '789', 'bytes 7-9/10'],
    ['bytes=-2', 206, '89', 'bytes 8-9/10'],
    ['bytes=-20', 206, '0123456789', 'bytes 0-9/10'],
    ['bytes=5-100', 206, '56789', 'bytes 5-9/10'],
    ['bytes=4-2', 200, '0123456789', null],
    ['bytes=0-1,3-4', 200, '0123456789', null],
    ['lines=1-2', 200, '0123456789', null],
  ])('answers Range: %s with %d', async (range, status, body, contentRange) => {
    const response = await media('ten', { range, ...identity });
    expect(response.status).toBe(status);
    expect(await response.text()).toBe(body);
    expect(response.headers.get('content-range')).toBe(contentRange);
  });

  it.each(['bytes=10-', 'bytes=-0'])('answers Range: %s with 416', async (range) => {
    const response = await media('ten', { range });
    expect(response.status).toBe(416);
    expect(response.headers.get('content-range')).toBe('bytes */10');
  });

  it('describes the object in headers', async () => {
    const [metadata] = await bucket.file('ten').getMetadata();
    const response = await media('ten', identity);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/plain',
      'content-length': '10',
      etag: metadata.etag,
      'x-goog-generation': String(metadata.generation),
      'x-goog-metageneration': '1',
      'x-goog-storage-class': 'STANDARD',
      'x-goog-stored-content-encoding': 'identity',
      'x-goog-stored-content-length': '10',
      'x-goog-hash': `crc32c=${metadata.crc32c},md5=${metadata.md5Hash}`,
    });
  });

  it.each(['/download/storage/v1', '/storage/v1', ''])('is served below "%s"', async (base) => {
    const response = await fetch(`${harness.emulator.url}${base}/b/json-tests/o/ten?alt=media`);
    expect(await response.text()).toBe('0123456789');
  });

  it('lets the client read ranges', async () => {
    const [bytes] = await bucket.file('ten').download({ start: 3, end: 5 });
    expect(bytes.toString()).toBe('345');
  });

  it('serves gzip as stored to a client that accepts it', async () => {
    const [raw] = await bucket.file('gzipped').download({ decompress: false });
    expect(gunzipSync(raw).toString()).toBe('plain text');
    const [plain] = await bucket.file('gzipped').download();
    expect(plain.toString()).toBe('plain text');
    const ranged = await media('gzipped', { 'accept-encoding': 'gzip;q=0', range: 'bytes=0-1' });
    expect(ranged.status).toBe(200);
  });

  it('decompresses gzip for a client that does not accept it, ignoring ranges', async () => {
    const response = await media('gzipped', { range: 'bytes=0-3', ...identity });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('plain text');
    expect(response.headers.get('content-length')).toBeNull();
    expect(response.headers.get('content-encoding')).toBeNull();
    expect(response.headers.get('x-goog-stored-content-encoding')).toBe('gzip');
    expect(response.headers.get('vary')).toBe('Accept-Encoding');
  });
});

describe('rejected uploads', () => {
  it('are answered on a connection that stays usable', async () => {
    const body = Buffer.alloc(5_000_000);
    const url = `${harness.emulator.url}/upload/storage/v1/b/nowhere/o?uploadType=media&name=a`;
    for (let i = 0; i < 3; i++) expect((await fetch(url, { method: 'POST', body })).status).toBe(404);
  });

  it('include metadata that are too long and leave the connection usable', async () => {
    const { url } = harness.emulator;
    const metadata = Buffer.alloc(8_000_000, ' ');
    const head =
      'POST /upload/storage/v1/b/json-tests/o?uploadType=multipart&name=a HTTP/1.1\r\n' +
      `Host: ${new URL(url).host}\r\nContent-Type: multipart/related; boundary=x\r\nContent-Length: ${metadata.length + 9}\r\n\r\n--x\r\n\r\n{}`;
    const next = `GET /storage/v1/b/json-tests HTTP/1.1\r\nHost: ${new URL(url).host}\r\n\r\n`;
    const received = await rawExchange(url, [head, metadata, next], /storage#bucket/);
    expect(received.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 413', 'HTTP/1.1 200']);
  });

  it('include a multipart body without its end marker', async () => {
    const response = await fetch(
      `${harness.emulator.url}/upload/storage/v1/b/json-tests/o?uploadType=multipart&name=cut`,
      {
        method: 'POST',
        headers: { 'content-type': 'multipart/related; boundary=x' },
        body: '--x\r\n\r\n{}\r\n--x\r\n\r\nbytes',
      },
    );
    expect(response.status).toBe(400);
    expect(await bucket.file('cut').exists()).toEqual([false]);
  });
});
