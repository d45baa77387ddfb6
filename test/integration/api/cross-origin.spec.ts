import { afterEach, describe, expect, it } from '@jest/globals';
import { readApiConfig } from '../../../libs/stowage/src/api/config.js';
import { TestApi } from '../../../libs/testing/src/test-api.js';

const ORIGIN = 'https://app.example';
const OWN = ['authorization', 'content-type', 'x-request-id', 'x-stowage-on-behalf-of'];
const CLIENTS = [
  'apollo-require-preflight',
  ...['name', 'version'].map((part) => `apollographql-client-${part}`),
  ...['id', 'name', 'type'].map((part) => `x-apollo-operation-${part}`),
  ...['traceparent', 'tracestate', 'baggage'],
];
const BODY = JSON.stringify({ query: '{ __typename }' });

describe('cross-origin requests (real: PostgreSQL, queue, storage emulator, HTTP)', () => {
  let api: TestApi;
  const start = async (env: NodeJS.ProcessEnv) => (api = await TestApi.start(env));
  afterEach(() => api[Symbol.asyncDispose]());

  const post = (origin: string, type = 'application/json') =>
    api.fetch('/graphql', { method: 'POST', headers: { origin, 'content-type': type }, body: BODY });
  const preflight = (origin: string, path = '/graphql') =>
    api.fetch(path, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    });
  const allowed = ({ headers }: Response) =>
    Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-')));

  it('are allowed from a configured origin', async () => {
    await start({ CORS_ORIGINS: `https://other.example, ${ORIGIN}` });
    const answer = await post(ORIGIN);
    expect(await answer.json()).toEqual({ data: { __typename: 'Query' } });
    expect(allowed(answer)).toEqual({
      'access-control-allow-origin': ORIGIN,
      'access-control-expose-headers': 'x-request-id, retry-after',
    });
    expect(answer.headers.get('vary')).toMatch(/\borigin\b/i);
    const asked = await preflight(ORIGIN);
    expect(asked.status).toBe(204);
    expect(allowed(asked)).toEqual({
      'access-control-allow-origin': ORIGIN,
      'access-control-allow-methods': 'POST, GET',
      'access-control-allow-headers': [...OWN, ...CLIENTS].join(', '),
      'access-control-expose-headers': 'x-request-id, retry-after',
      'access-control-max-age': '3600',
    });
  });

  it('may send configured headers besides those of the API', async () => {
    await start({ CORS_ORIGINS: ORIGIN, CORS_HEADERS: 'Sentry-Trace, baggage,authorization' });
    expect(allowed(await preflight(ORIGIN))['access-control-allow-headers']).toBe(
      [...OWN, 'sentry-trace', 'baggage'].join(', '),
    );
  });

  it.each([
    ['a configured origin', ORIGIN, ORIGIN, ORIGIN],
    ['any origin if all are allowed', '*', 'http://localhost:5173', 'http://localhost:5173'],
    ['another origin', ORIGIN, 'https://elsewhere.example', null],
    ['the origin null', '*', 'null', null],
  ])(
    'open an upload session with matching CORS headers for %s',
    async (_, origins, origin, allowedOrigin) => {
      await start({ CORS_ORIGINS: origins });
      const query = `mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { upload { url } } }`;
      const input = {
        filename: 'a',
        mimeType: 'text/plain',
        sizeBytes: 1,
        checksumSha256: '0'.repeat(64),
        method: 'RESUMABLE',
      };
      const answer = await api.fetch('/graphql', {
        method: 'POST',
        headers: {
          origin,
          'content-type': 'application/json',
          authorization: `Bearer ${await api.token('42')}`,
        },
        body: JSON.stringify({ query, variables: { input } }),
      });
      const { data } = (await answer.json()) as { data: { requestUpload: { upload: { url: string } } } };
      const asked = await fetch(data.requestUpload.upload.url, {
        method: 'PUT',
        headers: { origin, 'content-range': 'bytes */*' },
        redirect: 'manual',
      });
      expect([asked.status, asked.headers.get('access-control-allow-origin')]).toEqual([308, allowedOrigin]);
    },
  );

  it('can read the reason of a rejection', async () => {
    await start({ CORS_ORIGINS: ORIGIN });
    const answer = await post(ORIGIN, 'text/plain');
    expect(answer.status).toBe(415);
    expect(answer.headers.get('access-control-allow-origin')).toBe(ORIGIN);
  });

  it.each([
    'https://elsewhere.example',
    'https://app.example.elsewhere.example',
    'http://app.example',
    'null',
  ])('are not allowed from another origin: %s', async (origin) => {
    await start({ CORS_ORIGINS: ORIGIN });
    expect((await post(origin)).headers.has('access-control-allow-origin')).toBe(false);
    expect((await preflight(origin)).headers.has('access-control-allow-origin')).toBe(false);
  });

  it('are allowed from every origin by *, without credentials', async () => {
    await start({ CORS_ORIGINS: '*' });
    for (const answer of [await post(ORIGIN), await preflight(ORIGIN)]) {
      expect(allowed(answer)).toMatchObject({ 'access-control-allow-origin': '*' });
      expect(answer.headers.has('access-control-allow-credentials')).toBe(false);
    }
  });

  it('are not allowed by default', async () => {
    await start({});
    expect(allowed(await post(ORIGIN))).toEqual({});
    const asked = await preflight(ORIGIN);
    expect(allowed(asked)).toEqual({});
    expect(asked.ok).toBe(false);
  });

  it('can read neither metrics nor health nor the playground with its token', async () => {
    await start({ CORS_ORIGINS: '*', PLAYGROUND: 'true', PLAYGROUND_TOKEN: 'secret' });
    for (const path of ['/metrics', '/health/live', '/health/ready', '/nowhere']) {
      expect(allowed(await api.fetch(path, { headers: { origin: ORIGIN } }))).toEqual({});
      expect(allowed(await preflight(ORIGIN, path))).toEqual({});
    }
    const page = await api.fetch('/graphql', { headers: { origin: ORIGIN, accept: 'text/html' } });
    expect(await page.text()).toContain('secret');
    expect(allowed(page)).toEqual({});
  });

  it('are still limited to the allowed host names', async () => {
    await start({ CORS_ORIGINS: '*', ALLOWED_HOSTS: 'elsewhere.example' });
    for (const answer of [await post(ORIGIN), await preflight(ORIGIN)]) {
      expect(answer.status).toBe(403);
      expect(allowed(answer)).toEqual({});
    }
  });
});

const complaintOf = (env: NodeJS.ProcessEnv) => {
  try {
    return readApiConfig(env) && '';
  } catch (error) {
    return (error as Error).message;
  }
};

describe('CORS_HEADERS', () => {
  it.each(['traceparent', 'X-One, x-two', '*'])('accepts %s', (CORS_HEADERS) =>
    expect(complaintOf({ CORS_HEADERS })).not.toContain('CORS_HEADERS'),
  );

  it.each(['trace:parent', 'a;b', 'x-"y"', 'größe'])(
    'rejects %s, which is not a header name',
    (CORS_HEADERS) => expect(complaintOf({ CORS_HEADERS })).toContain('CORS_HEADERS must be header names'),
  );
});

describe('CORS_ORIGINS', () => {
  const complaint = (CORS_ORIGINS: string) => complaintOf({ CORS_ORIGINS });

  it.each(['*', 'https://app.example', 'http://localhost:5173, https://App.example:8443', 'http://[::1]:80'])(
    'accepts %s',
    (origins) => expect(complaint(origins)).not.toContain('CORS_ORIGINS'),
  );

  it.each(['app.example', 'https://app.example/', 'https://app.example/path', 'https://a.example?x', 'null'])(
    'rejects %s, which is not an origin',
    (origins) => expect(complaint(origins)).toContain('CORS_ORIGINS must be origins'),
  );
});
