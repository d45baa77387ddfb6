import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { PinoLogger } from 'nestjs-pino';
import { WebSocket, type WebSocketServer } from 'ws';
import { SubscriptionServer } from '../../../apps/api/src/subscriptions/subscription-server.js';
import { signJwt } from '../../support/fleet.js';
import { until } from '../../support/until.js';
import { TestApi } from './test-api.js';

const NOBODYS = `subscription { assetChanged(id: "x") { id } }`;
const MIB = 1024 * 1024;

describe('subscribers who mean no good (real: PostgreSQL, HTTP, sockets)', () => {
  let api: TestApi;
  let server: { readonly sockets: WebSocketServer; readonly logger: PinoLogger };
  beforeAll(async () => {
    api = await TestApi.start();
    server = api.app.get<unknown, typeof server>(SubscriptionServer, { strict: false });
  });
  afterEach(() => void jest.restoreAllMocks());
  afterAll(() => api?.[Symbol.asyncDispose]());

  const comes = (what: string, condition: () => boolean) =>
    until(what, () => (condition() ? true : null), 10_000);

  /** A socket that has said who it is, and its other end. */
  async function open(
    subject: string,
  ): Promise<{ socket: WebSocket; peer: WebSocket; end: Promise<number> }> {
    const socket = new WebSocket(`ws://127.0.0.1:${api.port}/graphql`, 'graphql-transport-ws');
    const end = new Promise<number>((resolve) => socket.on('close', resolve));
    await once(socket, 'open');
    const peer = [...server.sockets.clients].at(-1)!;
    const payload = { authorization: `Bearer ${await signJwt(subject)}` };
    socket.send(JSON.stringify({ type: 'connection_init', payload }));
    await once(socket, 'message');
    return { socket, peer, end };
  }

  const nonsense: Record<string, [code: number, message: object]> = {
    'what only servers say': [4400, { type: 'connection_ack' }],
    'what nobody says': [4400, { type: 'x' }],
    'a long id for the second time': [
      4409,
      { type: 'subscribe', id: 'ü'.repeat(200), payload: { query: NOBODYS } },
    ],
  };
  it.each(Object.entries(nonsense))(
    'are closed on %s, without a word in the log',
    async (_, [code, message]) => {
      const logged = jest.spyOn(server.logger, 'error');
      const { socket, end } = await open('42');
      for (let again = 0; again < 5; again++) socket.send(JSON.stringify(message));
      expect(await end).toBe(code);
      expect(logged).not.toHaveBeenCalled();
    },
  );

  it('are not listened to while they leave the answers lying', async () => {
    const { socket, peer } = await open('42');
    socket.pause();
    const ping = JSON.stringify({ type: 'ping', payload: { text: 'x'.repeat(100_000) } });
    for (let sent = 0; sent < 400; sent++) socket.send(ping);
    await comes('a pause', () => peer.isPaused);
    expect(peer.bufferedAmount).toBeLessThan(2 * MIB);
    let answers = 0;
    socket.on('message', () => answers++);
    socket.resume();
    await comes('all answers', () => answers === 400);
    expect(peer.isPaused).toBe(false);
    socket.terminate();
  });
});
