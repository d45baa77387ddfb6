import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { fastify, type FastifyInstance } from 'fastify';
import { allowHosts } from './allowed-hosts.js';

const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket'];

describe('allowHosts', () => {
  let server: FastifyInstance;
  afterEach(() => server.close());

  async function listen(): Promise<void> {
    server = fastify();
    server.get('/', () => 'served');
    allowHosts(server, ['127.0.0.1:1', 'localhost:1', '[::1]:1']);
    await server.listen({ port: 0, host: '127.0.0.1' });
  }

  /** The status of the answer to a request with this Host; null for none at all. */
  async function statusOf(host: string | null, headers: string[] = []): Promise<number> {
    const socket = connect((server.server.address() as AddressInfo).port, '127.0.0.1');
    const version = host === null ? '1.0' : '1.1';
    const lines = [`GET / HTTP/${version}`, ...(host === null ? [] : [`Host: ${host}`]), ...headers];
    socket.end(`${lines.join('\r\n')}\r\n\r\n`);
    let text = '';
    socket.setEncoding('utf8').on('data', (part: string) => (text += part));
    await once(socket, 'close');
    return Number(text.split(' ', 2)[1]);
  }

  it.each(['127.0.0.1:1', 'localhost:1', 'LOCALHOST:1', '[::1]:1'])('serves %s', async (host) => {
    await listen();
    expect(await statusOf(host, ['Connection: close'])).toBe(200);
  });

  it.each([
    '127.0.0.1',
    '127.0.0.1:2',
    'localhost',
    'rebound.example:1',
    'localhost:1.rebound.example',
    '0.0.0.0:1',
    null,
  ])('refuses %s', async (host) => {
    await listen();
    expect(await statusOf(host, ['Connection: close'])).toBe(403);
  });

  it('leaves upgrades that nobody takes to be requests', async () => {
    await listen();
    expect(await statusOf('localhost:1', [...UPGRADE, 'Connection: close'])).toBe(200);
  });
});
