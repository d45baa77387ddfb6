import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { PinoLogger } from 'nestjs-pino';
import { WebSocket, type WebSocketServer } from 'ws';
import { SubscriptionServer } from '../../../apps/api/src/subscriptions/subscription-server.js';
import { signJwt } from '../../support/fleet.js';
import { until } from '../../support/until.js';
import { TestApi } from './test-api.js';

const REQUEST = `mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { asset { id } } }`;
const SHA256 = '5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e746f6be03';
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

  /** An asset of 42's that waits for its bytes. */
  async function asset(): Promise<string> {
    const input = { filename: 'f', mimeType: 'text/plain', sizeBytes: 6, checksumSha256: SHA256 };
    const { data } = await api.query(REQUEST, { input });
    return (data?.requestUpload as { asset: { id: string } }).asset.id;
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

  it('have a thousand subscriptions in all their sockets, and room again when one is gone', async () => {
    const types = new Map<string, number>();
    const query = `subscription { assetChanged(id: "${await asset()}") { id } }`;
    const subscribe = ({ socket }: { socket: WebSocket }, count: number) => {
      for (let id = 0; id < count; id++)
        socket.send(JSON.stringify({ type: 'subscribe', id: `${id}`, payload: { query } }));
    };
    const join = async () => {
      const opened = await open('42');
      opened.socket.on('message', (data: Buffer) => {
        const { type } = JSON.parse(data.toString()) as { type: string };
        types.set(type, (types.get(type) ?? 0) + 1);
      });
      return opened;
    };
    const full: Awaited<ReturnType<typeof open>>[] = [];
    for (let count = 0; count < 10; count++) full.push(await join());
    for (const each of full) subscribe(each, 100);
    await comes('a thousand states', () => types.get('next') === 1_000);
    const last = await join();
    subscribe(last, 1);
    await comes('a refusal', () => types.get('error') === 1);
    const [gone] = full;
    gone!.socket.close();
    await once(gone!.peer, 'close');
    subscribe(last, 1);
    await comes('one more', () => types.get('next') === 1_001);
    for (const { socket } of [...full, last]) socket.close();
  });
});
