import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { fastify, type FastifyInstance } from 'fastify';
import { admitRequests } from './admission.js';

const REFUSAL = { reason: 'HOST_NOT_ALLOWED', message: 'The Host header does not name this server.' };

describe('admitRequests', () => {
  let server: FastifyInstance;
  let seen: string[];
  beforeEach(async () => {
    seen = [];
    server = fastify();
    admitRequests(server, ({ headers }) => (headers.host === 'localhost:1' ? null : REFUSAL));
    server.addHook('onRequest', ({ url }, _reply, done) => {
      seen.push(url);
      done();
    });
    server.get('/', () => 'served');
    await server.listen({ port: 0, host: '127.0.0.1' });
  });
  afterEach(() => server.close());

  /** Sends a request with this Host, or with none if null, and returns the whole answer. */
  async function answerTo(host: string | null, path = '/', headers: string[] = []): Promise<string> {
    const socket = connect((server.server.address() as AddressInfo).port, '127.0.0.1');
    const version = host === null ? '1.0' : '1.1';
    const lines = [`GET ${path} HTTP/${version}`, ...(host === null ? [] : [`Host: ${host}`]), ...headers];
    socket.end(`${[...lines, 'Connection: close'].join('\r\n')}\r\n\r\n`);
    let text = '';
    socket.setEncoding('utf8').on('data', (part: string) => (text += part));
    await once(socket, 'close');
    return text;
  }

  it('serves an accepted request', async () => {
    expect(await answerTo('localhost:1')).toMatch(/^HTTP\/1.1 200 [^]*served$/);
    expect(seen).toEqual(['/']);
  });

  it.each([
    ['another Host', 'evil.example', '/'],
    ['no Host', null, '/'],
    ['an unknown path', 'evil.example', '/nowhere'],
  ])('answers %s with 403 before any other hook runs', async (_, host, path) => {
    const answer = await answerTo(host, path);
    expect(answer).toMatch(/^HTTP\/1.1 403 /);
    expect(answer).toContain(JSON.stringify({ code: 'FORBIDDEN', ...REFUSAL }));
    expect(seen).toEqual([]);
  });

  it('checks an upgrade without a handler like a request', async () => {
    const upgrade = ['Connection: Upgrade', 'Upgrade: websocket'];
    expect(await answerTo('localhost:1', '/', upgrade)).toMatch(/^HTTP\/1.1 200 /);
    expect(await answerTo('evil.example', '/', upgrade)).toMatch(/^HTTP\/1.1 403 /);
  });
});
