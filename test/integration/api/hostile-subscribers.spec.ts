import { once } from 'node:events';
import { setImmediate as nextTurnOfLoop } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { PinoLogger } from 'nestjs-pino';
import { WebSocket, type WebSocketServer } from 'ws';
import { SubscriptionRateLimiter } from '#libs/assets/graphql';
import { SubscriptionServer } from '../../../libs/stowage/src/api/subscriptions/subscription-server.js';
import { signJwt } from '../../../libs/testing/src/environment.js';
import { until } from '../../../libs/testing/src/until.js';
import { TestApi } from '../../../libs/testing/src/test-api.js';

const REQUEST = `mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { asset { id } } }`;
const SHA256 = '5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e746f6be03';
const UNKNOWN_ASSET = `subscription { assetChanged(id: "x") { id } }`;
const MIB = 1024 * 1024;

interface Opened {
  readonly socket: WebSocket;
  readonly peer: WebSocket;
  readonly end: Promise<number>;
}

describe('hostile subscribers (real: PostgreSQL, HTTP, sockets)', () => {
  let api: TestApi;
  let server: { readonly sockets: WebSocketServer; readonly logger: PinoLogger };
  beforeAll(async () => {
    api = await TestApi.start();
    server = api.app.get<unknown, typeof server>(SubscriptionServer, { strict: false });
  });
  afterEach(() => void jest.restoreAllMocks());
  afterAll(() => api?.[Symbol.asyncDispose]());

  const waitFor = (what: string, condition: () => boolean) => until(what, () => (condition() ? true : null));

  /** Opens an authenticated socket; `peer` is its end on the server. */
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

  /** Creates a PENDING asset of owner 42. */
  async function asset(of = api): Promise<string> {
    const input = { filename: 'f', mimeType: 'text/plain', sizeBytes: 6, checksumSha256: SHA256 };
    const { data } = await of.query(REQUEST, { input });
    return (data?.requestUpload as { asset: { id: string } }).asset.id;
  }

  const nonsense: Record<string, [code: number, message: object]> = {
    'a message that only servers send': [4400, { type: 'connection_ack' }],
    'a message of an unknown type': [4400, { type: 'x' }],
    'a repeated long id': [
      4409,
      { type: 'subscribe', id: 'ü'.repeat(200), payload: { query: UNKNOWN_ASSET } },
    ],
  };
  it.each(Object.entries(nonsense))(
    'are disconnected after %s, without a line in the log',
    async (_, [code, message]) => {
      const logged = jest.spyOn(server.logger, 'error');
      const { socket, end } = await open('42');
      for (let again = 0; again < 5; again++) socket.send(JSON.stringify(message));
      expect(await end).toBe(code);
      expect(logged).not.toHaveBeenCalled();
    },
  );

  it('are not read from while they leave answers unread', async () => {
    const { socket, peer } = await open('42');
    socket.pause();
    const ping = JSON.stringify({ type: 'ping', payload: { text: 'x'.repeat(100_000) } });
    for (let sent = 0; sent < 400; sent++) socket.send(ping);
    await waitFor('a pause', () => peer.isPaused);
    // One mebibyte, and the answers to at most sixteen queued messages.
    expect(peer.bufferedAmount).toBeLessThan(3 * MIB);
    let answers = 0;
    socket.on('message', () => answers++);
    socket.resume();
    await waitFor('all answers', () => answers === 400);
    await waitFor('the server reads again', () => !peer.isPaused);
    socket.terminate();
  });

  it('lose the socket with the most unread bytes when all their sockets exceed the limit', async () => {
    await using small = await TestApi.start({ SUBSCRIPTION_BYTES_PER_OWNER: '2 MiB' });
    const its = small.app.get<unknown, { readonly sockets: WebSocketServer; pinging: NodeJS.Timeout }>(
      SubscriptionServer,
      { strict: false },
    );
    // The ping timer would close sockets that do not read.
    clearInterval(its.pinging);
    const join = (subject: string) => open(subject, small.port, its.sockets);
    const [reader, some, most, stranger] = [
      await join('49'),
      await join('49'),
      await join('49'),
      await join('50'),
    ];
    /** Sends unread data until `bytes` bytes are queued in addition to the buffers of the system. */
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
    await waitFor('the end of the socket', () => most.peer.readyState === most.peer.CLOSED);
    await ask();
    for (const { peer } of [reader, some, stranger]) expect(peer.readyState).toBe(peer.OPEN);
    const metrics = await (await small.fetch('/metrics')).text();
    expect(metrics).toContain('stowage_subscription_refusals_total{limit="bytes"} 1\n');
    expect(Number(/^stowage_subscription_unsent_bytes (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(3 * MIB);
    for (const { socket } of [reader, some, most, stranger]) socket.terminate();
  });

  it('are limited in subscriptions and use the rate limit for each message and each state', async () => {
    await using small = await TestApi.start({
      SUBSCRIPTIONS_PER_OWNER: '3',
      SUBSCRIPTION_WORK_PER_SECOND: '500',
    });
    const { sockets } = small.app.get<unknown, typeof server>(SubscriptionServer, { strict: false });
    const rateLimiter = small.app.get(SubscriptionRateLimiter, { strict: false });
    expect(rateLimiter).toHaveProperty('perSecond', 500);
    const taken = jest.spyOn(rateLimiter, 'take');
    const query = `subscription { assetChanged(id: "${await asset(small)}") { id } }`;
    const { socket } = await open('42', small.port, sockets);
    const heard: string[] = [];
    socket.on('message', (data: Buffer) => {
      const { id, type } = JSON.parse(data.toString()) as { id: string; type: string };
      heard.push(`${type} ${id}`);
    });
    for (let id = 0; id < 20; id++)
      socket.send(JSON.stringify({ type: 'subscribe', id: `${id}`, payload: { query } }));
    await waitFor('all answers', () => heard.length === 20);
    expect(heard.filter((each) => each.startsWith('next')).sort()).toEqual(['next 0', 'next 1', 'next 2']);
    const refused = Array.from({ length: 17 }, (_, index) => `error ${index + 3}`);
    expect(heard.filter((each) => each.startsWith('error'))).toEqual(refused);
    expect(taken.mock.calls.map(([owner]) => owner)).toEqual(Array.from({ length: 23 }, () => 42n));
    const metrics = await (await small.fetch('/metrics')).text();
    expect(metrics).toContain('stowage_subscription_refusals_total{limit="subscriptions"} 17\n');
    expect(metrics).toContain('stowage_subscriptions 3\n');
    expect(metrics).toContain('stowage_subscription_waiting 0\n');
    socket.terminate();
  });

  it('are limited to a thousand subscriptions and regain capacity when a socket closes', async () => {
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
    await waitFor('a thousand states', () => types.get('next') === 1_000);
    const last = await join();
    subscribe(last, 1);
    await waitFor('a refusal', () => types.get('error') === 1);
    const [gone] = full;
    gone!.socket.close();
    await once(gone!.peer, 'close');
    subscribe(last, 1);
    await waitFor('one more', () => types.get('next') === 1_001);
    for (const { socket } of [...full, last]) socket.close();
  });
});
