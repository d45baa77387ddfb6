import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { WebSocket } from 'ws';
import { signJwt } from '../../../libs/testing/src/environment.js';
import { Fleet } from '../../support/fleet.js';
import { until } from '../../../libs/testing/src/until.js';

/** Part of every value that the client chooses in these tests. */
const MARK = 'mark4111';
const REQUEST = `mutation ($i: RequestUploadInput!) { requestUpload(input: $i) { asset { id } } }`;
const SHA256 = 'ab'.repeat(32);
const MAX_LINE_BYTES = 16 * 1024;
/** The `x-request-id` header is the only client value that is logged; this value marks the last line. */
const LAST_LINE = /"reqId":"end-of-the-mistakes"[^\n]*\n/;

describe('client mistakes (real: an api as a process, PostgreSQL, queue, storage emulator)', () => {
  let fleet: Fleet;
  let authorization: string;
  beforeAll(async () => {
    fleet = await Fleet.start({ workers: 0, env: { LOG_LEVEL: 'debug' } });
    authorization = `Bearer ${await signJwt('42')}`;
    // Skips the lines of the startup.
    await logsOf(() => Promise.resolve());
  });
  afterAll(() => fleet?.[Symbol.asyncDispose]());

  const api = () => fleet.apis[0]!;
  const post = (body: string, headers: Record<string, string> = {}) =>
    api().fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    });
  const operation = (query: string, more: object = {}) => JSON.stringify({ query, ...more });
  const upload = (input: object) =>
    operation(REQUEST, { variables: { i: { filename: MARK, mimeType: 'text/plain', ...input } } });
  const persisted = (sha256Hash: string, version = 1) => ({
    extensions: { persistedQuery: { version, sha256Hash } },
  });

  /** Everything that the api logs during `work`, up to the line of a final request. */
  async function logsOf(work: () => Promise<unknown>): Promise<string> {
    const from = api().output.length;
    await work();
    await (await post('{"query":"{ __typename }"}', { 'x-request-id': 'end-of-the-mistakes' })).text();
    await until('the last line', () => (LAST_LINE.test(api().output.slice(from)) ? true : null));
    return api().output.slice(from);
  }

  function expectQuiet(logs: string): void {
    expect(logs).not.toContain(MARK);
    const lines = logs.split('\n').filter((line) => line !== '');
    for (const line of lines) {
      expect((JSON.parse(line) as { level: number }).level).toBeLessThanOrEqual(30);
      expect(Buffer.byteLength(line)).toBeLessThanOrEqual(MAX_LINE_BYTES);
    }
  }

  const far = [{ principal: '*', permissions: ['READ'], expiresAt: '9999-12-31T23:59:59-23:59' }];
  /** Body, and the code of the first error. */
  const operations: [what: string, body: string, code: string][] = [
    [
      'an unknown operation',
      operation('{ __typename }', { operationName: MARK }),
      'OPERATION_RESOLUTION_FAILURE',
    ],
    ['an unknown field', operation(`{ ${MARK} }`), 'GRAPHQL_VALIDATION_FAILED'],
    ['an unknown argument', operation(`{ viewer(${MARK}: 1) { id } }`), 'GRAPHQL_VALIDATION_FAILED'],
    [
      'a string literal for a number',
      operation(`{ assets(first: "${MARK}") { nodes { id } } }`),
      'GRAPHQL_VALIDATION_FAILED',
    ],
    ['an unparsable document', operation(`{ viewer ${MARK}( }`), 'GRAPHQL_PARSE_FAILED'],
    [
      'an invalid variable of a custom scalar',
      upload({ sizeBytes: MARK, checksumSha256: SHA256 }),
      'BAD_USER_INPUT',
    ],
    [
      'an invalid variable of a built-in scalar',
      operation('query ($n: Int) { assets(first: $n) { nodes { id } } }', { variables: { n: MARK } }),
      'BAD_USER_INPUT',
    ],
    [
      'a missing variable',
      operation(`query ($${MARK}: ID!) { asset(id: $${MARK}) { id } }`),
      'BAD_USER_INPUT',
    ],
    ['an unknown input field', upload({ sizeBytes: 1, checksumSha256: SHA256, [MARK]: 1 }), 'BAD_USER_INPUT'],
    ['an instant out of range', upload({ sizeBytes: 1, checksumSha256: SHA256, acl: far }), 'BAD_USER_INPUT'],
    [
      'an invalid file name',
      upload({ filename: `a/${MARK}`, sizeBytes: 1, checksumSha256: SHA256 }),
      'BAD_USER_INPUT',
    ],
    [
      'an inaccessible asset under an alias',
      operation(`mutation ${MARK} { ${MARK}: cancelUpload(assetId: "${MARK}") { id } }`),
      'NOT_FOUND',
    ],
    [
      'an invalid cursor',
      operation(`{ assets(first: 1, after: "${MARK}") { nodes { id } } }`),
      'BAD_USER_INPUT',
    ],
    ['a persisted query with another hash', operation('{ __typename }', persisted(MARK)), 'BAD_REQUEST'],
    ['a persisted query of another version', operation('{ __typename }', persisted(MARK, 2)), 'BAD_REQUEST'],
    [
      'an unknown persisted query',
      JSON.stringify(persisted(createHash('sha256').update(MARK).digest('hex'))),
      'PERSISTED_QUERY_NOT_FOUND',
    ],
    [
      'a subscription',
      operation(`subscription ${MARK} { assetChanged(id: "${MARK}") { id } }`),
      'BAD_USER_INPUT',
    ],
    ['a batch', `[${operation(`{ ${MARK} }`)}]`, 'BAD_REQUEST'],
    ['no operation', JSON.stringify({ [MARK]: 1 }), 'BAD_REQUEST'],
    ['variables that are not an object', operation('{ __typename }', { variables: MARK }), 'BAD_REQUEST'],
  ];
  it.each(operations)('leave nothing of %s in the logs', async (_, body, code) => {
    let answer: unknown;
    const logs = await logsOf(async () => {
      answer = await (await post(body, { authorization })).json();
      await (await post(body, { authorization: `Bearer ${MARK}` })).text();
      await (await post(body)).text();
    });
    expect(answer).toMatchObject({ errors: [{ extensions: { code } }] });
    expectQuiet(logs);
  });

  const sendTo = (path: string, body: string, type = 'application/json') =>
    api().fetch(path, { method: 'POST', headers: { 'content-type': type }, body });
  const requests: [what: string, send: () => Promise<Response>, status: number][] = [
    ['a body that is not JSON', () => post(`{"query": ${MARK}`), 400],
    ['a body that is not JSON for an unknown path', () => sendTo('/nowhere', `{"query": ${MARK}`), 400],
    [
      'a body that is too large for an unknown path',
      () => sendTo('/nowhere', `"${MARK.repeat(2 ** 18)}"`),
      413,
    ],
    ['a body of another type for an unknown path', () => sendTo('/nowhere', MARK, `text/${MARK}`), 404],
    ['a truncated body', () => post(`{"query":"${MARK}`), 400],
    ['an empty body', () => post(''), 400],
    ['a body with a prototype', () => post(`{"__proto__":{"${MARK}":1}}`), 400],
    ['a body that is too large', () => post(operation(`# ${MARK}${'x'.repeat(2 ** 20)}`)), 413],
    ['a body of another type', () => post(MARK, { 'content-type': `text/${MARK}` }), 415],
    ['an unknown path', () => api().fetch(`/${MARK}?${MARK}`), 404],
    ['an invalid path', () => api().fetch(`/%${MARK}`), 400],
    ['an unsupported method', () => api().fetch(`/metrics?${MARK}`, { method: 'DELETE' }), 404],
    ['a GET that a page could send', () => api().fetch(`/graphql?query={${MARK}}`), 400],
    [
      'a GET',
      () => api().fetch(`/graphql?query={${MARK}}`, { headers: { 'apollo-require-preflight': '1' } }),
      400,
    ],
    [
      'a GET with variables that are not JSON',
      () =>
        api().fetch(`/graphql?query={__typename}&variables={${MARK}`, {
          headers: { 'apollo-require-preflight': '1' },
        }),
      400,
    ],
    [
      'an invalid request id',
      () => post(operation(`{ ${MARK} }`), { 'x-request-id': `${MARK} ${MARK}` }),
      400,
    ],
  ];
  it.each(requests)('leave nothing of %s in the logs', async (_, send, status) => {
    let answered: number | undefined;
    const logs = await logsOf(async () => {
      const answer = await send();
      answered = answer.status;
      await answer.text();
    });
    expectQuiet(logs);
    expect(answered).toBe(status);
  });

  it('cause no long log lines, however much they send', async () => {
    const wrong = Array.from({ length: 20_000 }, (_, index) => ({
      filename: `${MARK}-${index}`,
      sizeBytes: 'x',
    }));
    const batch = `mutation ($i: [RequestUploadInput!]!) { requestUploads(inputs: $i) { __typename } }`;
    const logs = await logsOf(async () => {
      await (await post(operation(batch, { variables: { i: wrong } }))).text();
      await (await post(operation(`{ ${`${MARK} `.repeat(100_000)} }`))).text();
      await (await post(operation('{ __typename }', { variables: { [MARK]: MARK.repeat(100_000) } }))).text();
    });
    expectQuiet(logs);
    expect(logs.length).toBeLessThan(MAX_LINE_BYTES);
  });

  /** Sends a message on an authenticated socket and returns the first answer. */
  async function answerTo(message: object, params: object = { authorization }): Promise<unknown> {
    const socket = new WebSocket(`ws://127.0.0.1:${api().port}/graphql`, 'graphql-transport-ws');
    const answered = new Promise((resolve) => {
      socket.on('message', (data: Buffer) => {
        const heard = JSON.parse(data.toString()) as { type: string; payload?: unknown };
        if (heard.type === 'connection_ack') socket.send(JSON.stringify(message));
        else resolve(heard.payload);
      });
      socket.on('close', resolve);
    });
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'connection_init', payload: params }));
    const answer = await answered;
    socket.terminate();
    return answer;
  }
  const subscribe = (query: string, more: object = {}) => ({
    type: 'subscribe',
    id: MARK,
    payload: { query, ...more },
  });
  const MANY = 'subscription ($ids: [ID!]!) { assetsChanged(ids: $ids) { id } }';
  const sockets: [what: string, message: object, code: string | number][] = [
    ['an unknown field', subscribe(`subscription { ${MARK} }`), 'GRAPHQL_VALIDATION_FAILED'],
    ['an unparsable document', subscribe(`subscription ${MARK} {`), 'GRAPHQL_PARSE_FAILED'],
    ['an invalid variable', subscribe(MANY, { variables: { ids: [{ [MARK]: MARK }] } }), 'BAD_USER_INPUT'],
    ['a missing variable', subscribe(MANY, { variables: { [MARK]: [] } }), 'BAD_USER_INPUT'],
    ['an unknown operation', subscribe(MANY, { operationName: MARK }), 'BAD_USER_INPUT'],
    [
      'an inaccessible asset under an alias',
      subscribe(`subscription ${MARK} { ${MARK}: assetChanged(id: "${MARK}") { id } }`),
      'NOT_FOUND',
    ],
    ['a message of an unknown type', { type: MARK }, 4400],
  ];
  it.each(sockets)('leave nothing of %s on a socket in the logs', async (_, message, code) => {
    let answer: unknown;
    const logs = await logsOf(async () => (answer = await answerTo(message)));
    expectQuiet(logs);
    if (typeof code === 'number') expect(answer).toBe(code);
    else
      expect([(answer as { errors?: unknown }).errors ?? answer]).toMatchObject([[{ extensions: { code } }]]);
  });

  it('leave nothing of an invalid token on a socket in the logs', async () => {
    let end: unknown;
    const logs = await logsOf(async () => (end = await answerTo({}, { authorization: `Bearer ${MARK}` })));
    expectQuiet(logs);
    expect(end).toBe(4401);
  });
});
