import { once } from 'node:events';
import { setImmediate as nextTurnOfLoop } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { PinoLogger } from 'nestjs-pino';
import { WebSocket, type WebSocketServer } from 'ws';
import { SubscriptionRateLimiter } from '#libs/assets/graphql';
import { SubscriptionServer } from '../../../apps/api/src/subscriptions/subscription-server.js';
import { signJwt } from '../../support/fleet.js';
import { until } from '../../support/until.js';
import { TestApi } from './test-api.js';

const REQUEST = `mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { asset { id } } }`;
const SHA256 = '5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e746f6be03';
const NOBODYS = `subscription { assetChanged(id: "x") { id } }`;
const MIB = 1024 * 1024;

interface Opened {
  readonly socket: WebSocket;
  readonly peer: WebSocket;
  readonly end: Promise<number>;
}

describe('subscribers who mean no good (real: PostgreSQL, HTTP, sockets)', () => {
  let api: TestApi;
  let server: { readonly sockets: WebSocketServer; readonly logger: PinoLogger };
  beforeAll(async () => {
    api = await TestApi.start();
    server = api.app.get<unknown, typeof server>(SubscriptionServer, { strict: false });
  });
  afterEach(() => void jest.restoreAllMocks());
  afterAll(() => api?.[Symbol.asyncDispose]());

  const comes = (what: string, condition: () => boolean) => until(what, () => (condition() ? true : null));

  /** A socket that has said who it is, and its other end. */
  async function open(subject: string, port = api.port, sockets = server.sockets): Promise<Opened> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/graphql`, 'graphql-transport-ws');
    const end = new Promise<number>((resolve) => socket.on('close', resolve));
    await once(socket, 'open');
    const peer = [...sockets.clients].at(-1)!;
    const payload = { authorization: `Bearer ${await signJwt(subject)}` };
    socket.send(JSON.stringify({ type: 'connection_init', payload }));
    await once(socket, 'message');
    return { socket, peer, end };
  }

  /** An asset of 42's that waits for its bytes. */
  async function asset(of = api): Promise<string> {
    const input = { filename: 'f', mimeType: 'text/plain', sizeBytes: 6, checksumSha256: SHA256 };
    const { data } = await of.query(REQUEST, { input });
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
    // A mebibyte, and the answers to the sixteen messages that may have waited.
    expect(peer.bufferedAmount).toBeLessThan(3 * MIB);
    let answers = 0;
    socket.on('message', () => answers++);
    socket.resume();
    await comes('all answers', () => answers === 400);
    await comes('the server listens again', () => !peer.isPaused);
    socket.terminate();
  });

  it('lose the socket that leaves most unread when all of theirs leave too much', async () => {
    await using small = await TestApi.start({ SUBSCRIPTION_BYTES_PER_OWNER: '2 MiB' });
    const its = small.app.get<unknown, { readonly sockets: WebSocketServer; pinging: NodeJS.Timeout }>(
      SubscriptionServer,
      { strict: false },
    );
    // It would end whoever does not read by and by.
    clearInterval(its.pinging);
    const join = (subject: string) => open(subject, small.port, its.sockets);
    const [reader, some, most, stranger] = [
      await join('49'),
      await join('49'),
      await join('49'),
      await join('50'),
    ];
    /** Sends what is not read until so much is left when the system's own buffers are full. */
    const fill = async ({ socket, peer }: Opened, bytes: number) => {
      socket.pause();
      while (peer.bufferedAmount < bytes) {
        peer.send(Buffer.alloc(MIB / 4));
        await nextTurnOfLoop();
      }
    };
    const ask = async () => {
      reader.socket.send(JSON.stringify({ type: 'ping' }));
      await once(reader.socket, 'message');
    };
    await fill(some, MIB / 4);
    await fill(stranger, 3 * MIB);
    await fill(most, MIB);
    await ask();
    expect(most.peer.readyState).toBe(most.peer.OPEN);
    await fill(most, 2 * MIB);
    await ask();
    await comes('its end', () => most.peer.readyState === most.peer.CLOSED);
    await ask();
    for (const { peer } of [reader, some, stranger]) expect(peer.readyState).toBe(peer.OPEN);
    const metrics = await (await small.fetch('/metrics')).text();
    expect(metrics).toContain('stowage_subscription_refusals_total{limit="bytes"} 1\n');
    expect(Number(/^stowage_subscription_unsent_bytes (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(3 * MIB);
    for (const { socket } of [reader, some, most, stranger]) socket.terminate();
  });

  it('have no more subscriptions than they may have, and take a turn for each message and each state', async () => {
    await using small = await TestApi.start({
      SUBSCRIPTIONS_PER_OWNER: '3',
      SUBSCRIPTION_WORK_PER_SECOND: '500',
    });
    const { sockets } = small.app.get<unknown, typeof server>(SubscriptionServer, { strict: false });
    const turns = small.app.get(SubscriptionRateLimiter, { strict: false });
    expect(turns).toHaveProperty('perSecond', 500);
    const taken = jest.spyOn(turns, 'take');
    const query = `subscription { assetChanged(id: "${await asset(small)}") { id } }`;
    const { socket } = await open('42', small.port, sockets);
    const heard: string[] = [];
    socket.on('message', (data: Buffer) => {
      const { id, type } = JSON.parse(data.toString()) as { id: string; type: string };
      heard.push(`${type} ${id}`);
    });
    for (let id = 0; id < 20; id++)
      socket.send(JSON.stringify({ type: 'subscribe', id: `${id}`, payload: { query } }));
    await comes('all answers', () => heard.length === 20);
    expect(heard.filter((each) => each.startsWith('next')).sort()).toEqual(['next 0', 'next 1', 'next 2']);
    const refused = Array.from({ length: 17 }, (_, index) => `error ${index + 3}`);
    expect(heard.filter((each) => each.startsWith('error'))).toEqual(refused);
    expect(taken.mock.calls).toEqual(Array.from({ length: 23 }, () => [42n]));
    const metrics = await (await small.fetch('/metrics')).text();
    expect(metrics).toContain('stowage_subscription_refusals_total{limit="subscriptions"} 17\n');
    expect(metrics).toContain('stowage_subscriptions 3\n');
    expect(metrics).toContain('stowage_subscription_waiting 0\n');
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
