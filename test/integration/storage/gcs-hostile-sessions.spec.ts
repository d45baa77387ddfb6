import { describe, expect, it } from '@jest/globals';
import { GcsUploadSessions } from '#libs/storage/gcs';
import { type Answer, hangUp, hostileStorages, silence, UNAVAILABLE } from './hostile-storage.js';

/** Real: HTTP. Fake: a storage server that misbehaves as each test specifies. */
const start = hostileStorages();

const SESSION = '/upload/storage/v1/b/incoming/o?uploadType=resumable&upload_id=the-secret';
const REQUEST = { bucket: 'incoming', key: 'k/ä', contentType: 'image/png', sizeBytes: 7, now: new Date() };
const answer =
  (status: number, headers: Record<string, string> = {}, body = ''): Answer =>
  (response) =>
    response.writeHead(status, headers).end(body);
const sessionsAt = (endpoint: string, more: object = {}) => new GcsUploadSessions({ endpoint, ...more });
const elsewhere = `https://elsewhere.example${SESSION}`;

describe('upload sessions of a misbehaving storage', () => {
  it('sends exactly the requested upload, with the condition that no object exists', async () => {
    const storage = await start((response, { headers }) => {
      received = headers;
      answer(200, { location: storage.url + SESSION })(response, undefined as never);
    });
    let received: Record<string, unknown> = {};
    const session = await sessionsAt(storage.url).open({ ...REQUEST, origin: 'https://app.example' });
    expect(session?.url).toBe(storage.url + SESSION);
    const { method, url } = storage.requests[0]!;
    expect([method, url.pathname, Object.fromEntries(url.searchParams)]).toEqual([
      'POST',
      '/upload/storage/v1/b/incoming/o',
      { uploadType: 'resumable', name: 'k/ä', ifGenerationMatch: '0' },
    ]);
    expect(received).toMatchObject({
      origin: 'https://app.example',
      'x-upload-content-type': 'image/png',
      'x-upload-content-length': '7',
    });
  });

  it.each<[string, Answer]>([
    ['no Location', answer(200)],
    ['an invalid Location', answer(200, { location: 'session' })],
    ['an HTML page', answer(502, { 'content-type': 'text/html' }, '<html>')],
    ['a redirect', answer(302, { location: elsewhere })],
    ['a closed connection', hangUp],
    ['silence', silence],
  ])('does not open a session on %s', async (name, given) => {
    const storage = await start(given);
    const limit = name === 'silence' ? { callTimeoutMs: 500 } : {};
    const opened = sessionsAt(storage.url, limit).open(REQUEST);
    if (name === 'a redirect') await expect(opened).rejects.toThrow('Storage answered 302');
    else await expect(opened).rejects.toMatchObject(UNAVAILABLE);
  });

  it('sends requests only to its own endpoint, whatever the URL of a session is', async () => {
    const storage = await start(answer(308));
    expect(await sessionsAt(storage.url).stateOf(elsewhere)).toBe('open');
    expect(storage.requests.map(({ method, url }) => method + url.pathname + url.search)).toEqual([
      `PUT${SESSION}`,
    ]);
  });

  it('returns session URLs with the public endpoint', async () => {
    const storage = await start(answer(200, { location: `http://internal.example${SESSION}` }));
    const sessions = sessionsAt(storage.url, { publicEndpoint: 'https://storage.example' });
    expect((await sessions.open(REQUEST))?.url).toBe(`https://storage.example${SESSION}`);
  });

  it.each<[number, string]>([
    [200, 'finished'],
    [201, 'finished'],
    [308, 'open'],
    [404, 'gone'],
    [410, 'gone'],
    [499, 'gone'],
  ])('treats status %i as a session that is %s', async (status, state) => {
    const storage = await start(answer(status));
    expect(await sessionsAt(storage.url).stateOf(storage.url + SESSION)).toBe(state);
  });

  it.each([200, 204, 404, 410, 499])('treats status %i as the end of a session', async (status) => {
    const storage = await start(answer(status));
    await sessionsAt(storage.url).end(storage.url + SESSION);
    expect(storage.requests.map(({ method }) => method)).toEqual(['DELETE']);
  });

  it.each([429, 500, 503])('retries after %i and finally reports storage as unavailable', async (status) => {
    const storage = await start(answer(status));
    const sessions = sessionsAt(storage.url);
    for (const call of [
      () => sessions.end(storage.url + SESSION),
      () => sessions.stateOf(storage.url + SESSION),
    ]) {
      await expect(call()).rejects.toMatchObject(UNAVAILABLE);
    }
    expect(storage.requests).toHaveLength(6);
  });

  it('treats a rejection as an error that names no URL', async () => {
    const storage = await start(answer(403, {}, 'no'));
    for (const call of ['end', 'stateOf'] as const) {
      const error: unknown = await sessionsAt(storage.url)
        [call](storage.url + SESSION)
        .catch((thrown: unknown) => thrown);
      expect(String(error)).toBe('StorageAnswerError: Storage answered 403');
    }
  });

  it('stops when it is aborted', async () => {
    const storage = await start(silence);
    const stop = new AbortController();
    const ended = sessionsAt(storage.url).end(storage.url + SESSION, { signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(ended).rejects.toThrow('enough');
  });
});
