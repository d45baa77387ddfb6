import { describe, expect, it } from '@jest/globals';
import { UNAVAILABLE, hangUp, hostileStorages, silence } from './hostile-storage.js';
import type { Answer } from './hostile-storage.js';

const BUCKET = 'content';
const resource = (name: string) => ({
  bucket: BUCKET,
  name,
  generation: '18',
  size: '5',
  crc32c: 'AAAAAA==',
  contentType: 'image/png',
  timeCreated: '2026-11-22T10:00:00Z',
});
const json =
  (status: number, body: unknown): Answer =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
const page = (names: readonly string[], nextPageToken?: string): Answer =>
  json(200, {
    kind: 'storage#objects',
    ...(names.length > 0 && { items: names.map(resource) }),
    nextPageToken,
  });
const refusal = (code: number, message: string) =>
  json(code, { error: { code, message, errors: [{ reason: 'notFound', message, domain: 'global' }] } });

/** Real: HTTP, against a server that misbehaves. */
describe('GcsObjectStore: failing lists', () => {
  const start = hostileStorages();
  const keysOf = (objects: readonly { key: string }[]) => objects.map(({ key }) => key);

  it('reads on after pages that are short or empty although more objects follow', async () => {
    const storage = await start(
      page(['c/1'], 'one'),
      page([], 'two'),
      page(['c/2', 'c/3'], 'three'),
      page(['c/4', 'c/5'], 'four'),
    );
    const found = await storage.store().list({ bucket: BUCKET, prefix: 'c/', after: 'c/0' }, 4);
    expect(keysOf(found)).toEqual(['c/1', 'c/2', 'c/3', 'c/4']);
    const sent = storage.requests.map(({ method, url }) => {
      const { pageToken, maxResults, prefix, startOffset } = Object.fromEntries(url.searchParams);
      expect([method, url.pathname, prefix, startOffset]).toEqual([
        'GET',
        '/storage/v1/b/content/o',
        'c/',
        'c/0',
      ]);
      return [pageToken, maxResults];
    });
    expect(sent).toEqual([
      [undefined, '5'],
      ['one', '4'],
      ['two', '4'],
      ['three', '2'],
    ]);
  });

  it('ends with the page that has no token, however short', async () => {
    for (const token of [undefined, '']) {
      const storage = await start(page(['a'], 'one'), page([], token));
      expect(keysOf(await storage.store().list({ bucket: BUCKET }, 10))).toEqual(['a']);
      expect(storage.requests).toHaveLength(2);
    }
  });

  it('asks for at most 1,000 objects in one call', async () => {
    const names = Array.from({ length: 2_500 }, (_, index) => String(10_000 + index));
    const storage = await start(
      page(names.slice(0, 1_000), 'one'),
      page(names.slice(1_000, 2_000), 'two'),
      page(names.slice(2_000), 'three'),
    );
    expect(keysOf(await storage.store().list({ bucket: BUCKET }, 2_500))).toEqual(names);
    expect(storage.requests.map(({ url }) => url.searchParams.get('maxResults'))).toEqual([
      '1000',
      '1000',
      '501',
    ]);
  });

  const passing: [string, Answer][] = [
    ['503', refusal(503, 'Later.')],
    ['429', refusal(429, 'Slower.')],
    ['a closed connection', hangUp],
    ['a proxy page', (response) => response.end('<html>')],
    ['a proxy error page', (response) => response.writeHead(502).end('<html>')],
    ['an empty answer', (response) => response.end()],
    ['an answer of another kind', json(200, { kind: 'storage#buckets', items: [] })],
    [
      'a truncated answer',
      (response) =>
        response.writeHead(200, { 'content-length': '100' }).write('{"kind', () => response.destroy()),
    ],
  ];

  it.each(passing)('repeats one call after %s, and not those before', async (_, answer) => {
    const storage = await start(page(['a'], 'one'), answer, page(['b']));
    expect(keysOf(await storage.store().list({ bucket: BUCKET }, 10))).toEqual(['a', 'b']);
    const tokens = storage.requests.map(({ url }) => url.searchParams.get('pageToken'));
    expect(tokens).toEqual([null, 'one', 'one']);
  });

  it.each(passing)('is unavailable when every attempt ends with %s', async (_, answer) => {
    const storage = await start(page(['a'], 'one'), answer);
    await expect(storage.store().list({ bucket: BUCKET }, 10)).rejects.toMatchObject(UNAVAILABLE);
    expect(storage.requests).toHaveLength(4);
  });

  it.each<[string, Answer[]]>([
    ['an object without a generation', [json(200, { kind: 'storage#objects', items: [{ name: 'a' }] })]],
    ['objects that are not sorted', [page(['c/2', 'c/1'])]],
    ['objects that are sorted by UTF-16', [page(['c/😀', 'c/Ａ'])]],
    ['an object twice', [page(['c/1', 'c/1'])]],
    ['a page that begins before the end of the last', [page(['c/2'], 'one'), page(['c/1'])]],
    ['an object before the requested one', [page(['c/'])]],
    ['an object below another prefix', [page(['c/1', 'd/1'])]],
    ['the page token of the request', [page(['c/1'], 'one'), page([], 'one')]],
  ])('is unavailable if an answer has %s', async (_, answers) => {
    const storage = await start(...answers);
    const list = storage.store().list({ bucket: BUCKET, prefix: 'c/', after: 'c/0' }, 10);
    await expect(list).rejects.toMatchObject(UNAVAILABLE);
  });

  it.each(['The specified bucket does not exist.', 'Not Found'])(
    'treats the answer 404, "%s", as unavailable and not as an empty list',
    async (message) => {
      const storage = await start(refusal(404, message));
      await expect(storage.store().list({ bucket: BUCKET }, 10)).rejects.toMatchObject(UNAVAILABLE);
    },
  );

  it('throws a 400 as a bug without naming a key', async () => {
    const storage = await start(refusal(400, 'Invalid value for the-secret-key.'));
    const failure = storage.store().list({ bucket: BUCKET, after: 'the-secret-key' }, 10);
    await expect(failure).rejects.toThrow('Storage answered 400 (notFound)');
    await expect(failure).rejects.not.toHaveProperty('kind');
    expect(storage.requests).toHaveLength(1);
  });

  it('times out when storage does not answer', async () => {
    const storage = await start(page(['a'], 'one'), silence);
    const store = storage.store({ callTimeoutMs: 500 });
    await expect(store.list({ bucket: BUCKET }, 10)).rejects.toMatchObject(UNAVAILABLE);
  });

  it('stops on abort, during a call and before the next', async () => {
    const reason = new Error('enough');
    const giveUp = new AbortController();
    const during = await start(page(['a'], 'one'), silence);
    const waiting = expect(
      during.store().list({ bucket: BUCKET }, 10, { signal: giveUp.signal }),
    ).rejects.toBe(reason);
    while (during.requests.length < 2) await new Promise(setImmediate);
    giveUp.abort(reason);
    await waiting;

    const between = new AbortController();
    const next = await start((response, request) => {
      response.once('finish', () => between.abort(reason));
      page(['a'], 'one')(response, request);
    });
    const list = next.store().list({ bucket: BUCKET }, 10, { signal: between.signal });
    await expect(list).rejects.toBe(reason);
    expect(next.requests.length).toBeLessThanOrEqual(2);
  });
});
