import { once } from 'node:events';
import http from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestApi } from '../../../libs/testing/src/test-api.js';

const HOST = 'api.test:1';
const APP = 'https://app.example';
const JSON_TYPE = { 'content-type': 'application/json' };

describe('admission of requests (real: PostgreSQL, queue, storage emulator, HTTP, sockets)', () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await TestApi.start({
      ALLOWED_HOSTS: HOST,
      CORS_ORIGINS: APP,
      PLAYGROUND: 'true',
      PLAYGROUND_TOKEN: 'the-token',
    });
  });
  afterAll(() => api?.[Symbol.asyncDispose]());

  async function send(path: string, headers: http.OutgoingHttpHeaders, body?: string) {
    const options = { host: '127.0.0.1', port: api.port, path, agent: false };
    const method = body === undefined ? 'GET' : 'POST';
    const request = http.request({ ...options, method, headers: { host: HOST, ...headers } }).end(body);
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    return { status: response.statusCode, body: await text(response) };
  }
  const query = (headers: http.OutgoingHttpHeaders) =>
    send('/graphql', { ...JSON_TYPE, ...headers }, '{"query":"{ __typename }"}');

  /** Status code of the response to a WebSocket upgrade. */
  async function upgrade(headers: Record<string, string>): Promise<number> {
    const socket = connect(api.port, '127.0.0.1');
    const sent = {
      host: HOST,
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Protocol': 'graphql-transport-ws',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...headers,
    };
    const lines = Object.entries(sent).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`GET /graphql HTTP/1.1\r\n${lines.join('')}\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    return Number(answer.toString('latin1').split(' ', 2)[1]);
  }

  const served: [what: string, headers: Record<string, string>][] = [
    ['a client without an origin', {}],
    ['a page of an allowed origin', { origin: APP, 'sec-fetch-site': 'cross-site' }],
    ['the playground', { origin: `http://${HOST}`, 'sec-fetch-site': 'same-origin' }],
  ];
  it.each(served)('serves %s', async (_, headers) => {
    expect(await query(headers)).toEqual({ status: 200, body: '{"data":{"__typename":"Query"}}\n' });
    expect(await upgrade(headers)).toBe(101);
  });

  const refused: [what: string, headers: Record<string, string>, reason: string][] = [
    ['another host name', { host: 'evil.example:1' }, 'HOST_NOT_ALLOWED'],
    ['a page of another origin', { origin: 'https://evil.example' }, 'ORIGIN_NOT_ALLOWED'],
    ['a page with the origin null', { origin: 'null' }, 'ORIGIN_NOT_ALLOWED'],
    ['a page of the same site', { 'sec-fetch-site': 'same-site' }, 'ORIGIN_NOT_ALLOWED'],
    ['an element of a cross-site page', { 'sec-fetch-site': 'cross-site' }, 'ORIGIN_NOT_ALLOWED'],
  ];
  it.each(refused)('rejects %s', async (_, headers, reason) => {
    const answers = [
      await query(headers),
      await send('/metrics', headers),
      await send('/health/ready', headers),
      await send('/graphql', { accept: 'text/html', ...headers }),
      await send('/nowhere', headers),
      await send('/graphql', { ...JSON_TYPE, ...headers }, '{'),
    ];
    for (const { status, body } of answers) {
      expect([status, JSON.parse(body)]).toEqual([
        403,
        expect.objectContaining({ code: 'FORBIDDEN', reason }),
      ]);
      expect(body).not.toContain('the-token');
    }
    expect(await upgrade(headers)).toBe(403);
  });

  it('opens the playground from a cross-site link, but not in a frame', async () => {
    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', accept: 'text/html' };
    expect((await send('/graphql', { ...link, 'sec-fetch-dest': 'document' })).status).toBe(200);
    expect((await send('/graphql', { ...link, 'sec-fetch-dest': 'iframe' })).status).toBe(403);
  });

  it('rejects the query of a cross-site link', async () => {
    const link = {
      'sec-fetch-site': 'cross-site',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'document',
    };
    expect((await send('/graphql?query={__typename}', link)).status).toBe(400);
  });
});
