import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestApi } from '../../../libs/testing/src/test-api.js';

const QUERY = '{ viewer { id } }';
const JSON_BODY = JSON.stringify({ query: QUERY });

const repeated = (count: number, part: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => part(index)).join(' ');

describe('GraphQL requests (real: PostgreSQL, queue, storage emulator, HTTP)', () => {
  let api: TestApi;
  let authorization: string;
  beforeAll(async () => {
    api = await TestApi.start();
    authorization = `Bearer ${await api.token('42')}`;
  });
  afterAll(() => api[Symbol.asyncDispose]());

  const post = (contentType: string | null, body: string | FormData | Blob) =>
    api.fetch('/graphql', {
      method: 'POST',
      headers: { authorization, ...(contentType === null ? {} : { 'content-type': contentType }) },
      body,
    });

  it.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON'])(
    'accepts %s',
    async (type) => {
      expect(await (await post(type, JSON_BODY)).json()).toEqual({ data: { viewer: { id: '42' } } });
    },
  );

  it('accepts two hundred concurrent uploads of one caller by default', async () => {
    const input = { filename: 'f', mimeType: 'text/plain', sizeBytes: 6, checksumSha256: 'ab'.repeat(32) };
    const mutation =
      'mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { asset { status } } }';
    const answers = await Promise.all(Array.from({ length: 200 }, () => api.query(mutation, { input })));
    const pending = { data: { requestUpload: { asset: { status: 'PENDING' } } } };
    expect(answers).toEqual(answers.map(() => pending));
  });

  it('forbids caching of every response', async () => {
    const query = encodeURIComponent(QUERY);
    const headers = { authorization, 'apollo-require-preflight': 'true' };
    const answers = [
      await post('application/json', JSON_BODY),
      await post('application/json', JSON.stringify({ query: '{ nothing }' })),
      await api.fetch(`/graphql?query=${query}`, { headers }),
    ];
    expect(answers.map((answer) => [answer.status, answer.headers.get('cache-control')])).toEqual([
      [200, 'no-store'],
      [400, 'no-store'],
      [200, 'no-store'],
    ]);
  });

  it.each([
    ['text/plain', JSON_BODY],
    ['text/plain; application/json', JSON_BODY],
    ['application/x-www-form-urlencoded', `query=${encodeURIComponent(QUERY)}`],
    ['application/graphql', QUERY],
    ['application/jsonp', JSON_BODY],
    [null, new FormData()],
    [null, new Blob([JSON_BODY])],
  ])('rejects %s with 415', async (type, body) => {
    expect((await post(type, body)).status).toBe(415);
  });

  it.each([
    ['a batch', `[${JSON_BODY},${JSON_BODY}]`, 400],
    ['invalid JSON', '{', 400],
    ['no query', '{}', 400],
    ['more than a mebibyte', JSON.stringify({ query: QUERY, variables: { x: 'x'.repeat(2 ** 20) } }), 413],
    ['a prototype', '{"__proto__":{"query":"{viewer{id}}"}}', 400],
  ])('rejects %s', async (_, body, status) => {
    const response = await post('application/json', body);
    expect(response.status).toBe(status);
    expect(await response.text()).not.toMatch(/\bat .*:\d+|node_modules/);
  });

  it('rejects a GET that a page of another origin could send', async () => {
    const path = `/graphql?query=${encodeURIComponent(QUERY)}`;
    expect((await api.fetch(path, { headers: { authorization } })).status).toBe(400);
  });

  it('rejects a mutation by GET', async () => {
    const mutation = 'mutation { cancelUpload(assetId: "x") { id } }';
    const headers = { authorization, 'content-type': 'application/json' };
    expect((await api.fetch(`/graphql?query=${encodeURIComponent(mutation)}`, { headers })).status).toBe(405);
  });

  it.each([
    ['QUERY_TOO_DEEP', `{ __type(name: "Asset") ${'{ ofType '.repeat(60)} { name } ${'}'.repeat(60)} }`],
    ['TOO_MANY_ALIASES', `{ ${repeated(200, (i) => `a${i}: viewer { id }`)} }`],
    ['TOO_MANY_TOKENS', `{ ${repeated(1000, (i) => `a${i}: viewer { id }`)} }`],
    ['TOO_MANY_TOKENS', `{ ${repeated(300_000, () => 'id')} }`],
    ['QUERY_TOO_DEEP', `{ ${'viewer { '.repeat(60)} id ${'}'.repeat(60)} }`],
    ['TOO_MANY_ROOT_FIELDS', `mutation { ${repeated(31, () => 'cancelUpload(assetId: "x") { id }')} }`],
    ['TOO_MANY_DIRECTIVES', `{ viewer { id ${'@a '.repeat(900)} } }`],
    ['QUERY_TOO_COMPLEX', `{ assets(first: 100) { nodes { ${repeated(100, () => 'id')} } } }`],
  ])('rejects an operation with the reason %s', async (reason, query) => {
    const { data, errors = [] } = await api.query(query);
    expect(data).toBeUndefined();
    expect(errors.map(({ extensions }) => extensions)).toContainEqual({ code: 'BAD_USER_INPUT', reason });
  });

  it.each([
    ['a fragment cycle', '{ ...A } fragment A on Query { ...A }'],
    ['a repeated directive', `{ viewer { id ${'@include(if: true) '.repeat(25)} } }`],
    ['an unknown directive', `{ viewer { id ${'@a '.repeat(25)} } }`],
  ])('rejects %s', async (_, query) => {
    const { data, errors } = await api.query(query);
    expect(data).toBeUndefined();
    expect(errors?.[0]?.extensions.code).toBe('GRAPHQL_VALIDATION_FAILED');
  });
});
