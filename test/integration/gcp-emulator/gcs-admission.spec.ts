import { once } from 'node:events';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Bucket } from '@google-cloud/storage';
import { Harness } from './gcs.harness.js';

const APP = 'https://app.example';
const EVIL = 'https://evil.example';
const STORED = 'the bytes that were checked';

/** Real: the emulator and its disk, the official client, and requests as browsers send them for pages. */
describe('requests of web pages to the storage emulator', () => {
  let harness: Harness;
  let bucket: Bucket;
  beforeAll(async () => {
    harness = await Harness.start({
      admin: true,
      allowedHosts: ['storage:3001'],
      publish: () => Promise.resolve(),
    });
    [bucket] = await harness.storage.createBucket('pages');
    const cors = [{ origin: [APP], method: ['GET', 'PUT', 'POST'], responseHeader: ['Content-Type'] }];
    await bucket.setMetadata({ cors });
    await bucket.file('kept').save(STORED, { resumable: false, contentType: 'text/plain' });
  });
  afterAll(() => harness.stop());

  interface Sent {
    readonly method?: string;
    readonly headers?: http.OutgoingHttpHeaders;
    readonly body?: string;
  }
  /** Uses node:http, because fetch cannot set the Host header. */
  async function send(path: string, { method = 'GET', headers = {}, body }: Sent = {}) {
    const { port } = harness.emulator;
    const request = http.request({ host: '127.0.0.1', port, path, method, headers, agent: false }).end(body);
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    return { status: response.statusCode, headers: response.headers, body: await text(response) };
  }
  const pathOf = (url: string) => url.slice(harness.emulator.url.length);
  const names = async () => (await bucket.getFiles())[0].map(({ name }) => name);

  const upload = (type: string) => `/upload/storage/v1/b/pages/o?uploadType=${type}&name=kept`;
  const simple = { 'content-type': 'text/plain' };
  /** Requests that pages can send, with and without a preflight. */
  const targets: [what: string, path: string, sent: Sent][] = [
    ['writes an object', upload('media'), { method: 'POST', headers: simple, body: 'OTHER' }],
    ['writes a new object', `${upload('media')}2`, { method: 'POST', headers: simple, body: 'OTHER' }],
    ['writes object and metadata', upload('multipart'), { method: 'POST', headers: simple, body: 'OTHER' }],
    ['starts a session', upload('resumable'), { method: 'POST', headers: simple, body: '{}' }],
    [
      'starts a session with JSON',
      upload('resumable'),
      { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' },
    ],
    ['lists objects', '/storage/v1/b/pages/o', {}],
    ['lists objects without the prefix', '/b/pages/o', {}],
    ['lists buckets', '/storage/v1/b?project=test', {}],
    [
      'creates a bucket',
      '/storage/v1/b?project=test',
      { method: 'POST', headers: simple, body: '{"name":"made"}' },
    ],
    ['reads an object', '/storage/v1/b/pages/o/kept?alt=media', {}],
    ['downloads an object', '/download/storage/v1/b/pages/o/kept?alt=media', {}],
    ['reads an object’s metadata', '/storage/v1/b/pages/o/kept', {}],
    ['reads headers by HEAD', '/storage/v1/b/pages/o/kept?alt=media', { method: 'HEAD' }],
    ['deletes an object', '/storage/v1/b/pages/o/kept', { method: 'DELETE' }],
    [
      'copies an object',
      '/storage/v1/b/pages/o/kept/rewriteTo/b/pages/o/copy',
      { method: 'POST', headers: simple },
    ],
    [
      'sends a preflight for a write',
      upload('media'),
      { method: 'OPTIONS', headers: { 'access-control-request-method': 'POST' } },
    ],
    ['reads without a signature', '/pages/kept', {}],
    ['writes without a signature', '/pages/kept', { method: 'PUT', headers: simple, body: 'OTHER' }],
    [
      'adds a fault',
      '/_emulator/faults',
      { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"action":{"status":503}}' },
    ],
    ['lists faults', '/_emulator/faults', {}],
    [
      'drops an object',
      '/_emulator/damage/drop',
      {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"bucket":"pages","key":"kept"}',
      },
    ],
    ['resets the clock', '/_emulator/clock', { method: 'DELETE' }],
    ['publishes events', '/_emulator/events', { method: 'POST', headers: simple, body: '{"topic":"t"}' }],
    ['names an unknown path', '/storage/v1/nowhere', {}],
    ['names an unknown session', '/storage/v1/b/pages/o?upload_id=x', {}],
  ];
  const pages: [what: string, headers: http.OutgoingHttpHeaders][] = [
    ['a page with DNS rebinding', { host: 'evil.example' }],
    [
      'a page with DNS rebinding and the port of the emulator',
      { host: 'evil.example:3001', origin: 'http://evil.example:3001', 'sec-fetch-site': 'same-origin' },
    ],
    ['a page of another origin', { origin: EVIL }],
    ['a page of another origin with fetch metadata', { origin: EVIL, 'sec-fetch-site': 'cross-site' }],
    ['a page that the CORS rules of the bucket allow', { origin: APP, 'sec-fetch-site': 'cross-site' }],
    ['a page with the origin null', { origin: 'null' }],
    ['an element of a page', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }],
    ['a page of the same site', { 'sec-fetch-site': 'same-site' }],
    ['a page that the emulator served', { 'sec-fetch-site': 'same-origin' }],
  ];
  describe.each(pages)('%s', (_, page) => {
    it.each(targets)('rejects a request that %s', async (__, path, { method, headers, body }) => {
      const answer = await send(path, { method, headers: { ...headers, ...page }, body });
      // A preflight of the XML API may be answered, but the answer grants no access.
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.headers['access-control-allow-methods']).toBeUndefined();
      expect(answer.body).not.toContain(STORED);
      expect(await names()).toEqual(['kept']);
      expect((await bucket.file('kept').download())[0].toString()).toBe(STORED);
      expect(harness.emulator.faults.list()).toEqual([]);
    });
  });

  it('reports the rejection in the format of each API', async () => {
    const headers = { host: 'evil.example' };
    const [json, xml] = [
      await send('/storage/v1/b/pages', { headers }),
      await send('/pages/kept', { headers }),
    ];
    expect([json.status, xml.status]).toEqual([403, 403]);
    expect(JSON.parse(json.body)).toMatchObject({ error: { code: 403, errors: [{ reason: 'forbidden' }] } });
    expect(xml.body).toContain('<Code>AccessDenied</Code>');
  });

  it('serves clients under every allowed host name', async () => {
    const { port } = harness.emulator;
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`, 'storage:3001']) {
      expect((await send('/storage/v1/b/pages', { headers: { host } })).status).toBe(200);
    }
    const typed = { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' };
    expect((await send('/storage/v1/b/pages', { headers: typed })).status).toBe(200);
  });

  it.each<[string, http.OutgoingHttpHeaders, string | undefined]>([
    ['a page that CORS allows', { origin: APP, 'sec-fetch-site': 'cross-site' }, APP],
    ['a page that CORS does not allow, which cannot read it', { origin: EVIL }, undefined],
    ['an image or a link', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }, undefined],
    ['a link in a new window', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }, undefined],
  ])('serves a signed URL to %s', async (_, headers, allowed) => {
    const answer = await send(pathOf(await harness.sign(bucket.file('kept'))), { headers });
    expect([answer.status, answer.body]).toEqual([200, STORED]);
    expect(answer.headers['access-control-allow-origin']).toBe(allowed);
  });

  it('serves no signed URL under an unknown host name', async () => {
    const path = pathOf(await harness.sign(bucket.file('kept')));
    expect((await send(path, { headers: { host: 'evil.example' } })).status).toBe(403);
  });

  it('lets a page use the session that the official client started for it', async () => {
    const [uri] = await bucket.file('session').createResumableUpload({ origin: APP });
    const page = { origin: APP, 'sec-fetch-site': 'cross-site' };
    const asked = await send(pathOf(uri), {
      method: 'OPTIONS',
      headers: { ...page, 'access-control-request-method': 'PUT' },
    });
    expect([asked.status, asked.headers['access-control-allow-origin']]).toEqual([200, APP]);
    const sent = await send(pathOf(uri), { method: 'PUT', headers: page, body: 'whole' });
    expect([sent.status, sent.headers['access-control-allow-origin']]).toEqual([200, APP]);
    await bucket.file('session').delete();
  });

  it('rejects a page that claims to be the official client', async () => {
    const headers = { origin: EVIL, 'sec-fetch-site': 'cross-site', 'x-goog-api-client': 'gccl/7' };
    expect((await send(upload('resumable'), { method: 'POST', headers, body: '{}' })).status).toBe(403);
    const preflight = {
      origin: EVIL,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'x-goog-api-client',
    };
    const asked = await send(upload('resumable'), { method: 'OPTIONS', headers: preflight });
    expect([asked.status, asked.headers['access-control-allow-origin']]).toEqual([403, undefined]);
  });
});
