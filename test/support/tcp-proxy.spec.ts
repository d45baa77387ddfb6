import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TcpProxy } from './tcp-proxy.js';
import { until } from './until.js';

describe('TcpProxy (real: sockets on loopback, a server that answers in capitals)', () => {
  let server: Server;
  let proxy: TcpProxy;
  /** All that the server got. */
  let received: string;
  let clients: Socket[];

  beforeEach(async () => {
    received = '';
    clients = [];
    server = createServer((socket) => {
      socket
        .on('error', () => undefined)
        .on('data', (chunk) => {
          received += chunk.toString();
          socket.write(chunk.toString().toUpperCase());
        });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    proxy = await TcpProxy.start(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  });
  afterEach(async () => {
    for (const client of clients) client.destroy();
    await proxy[Symbol.asyncDispose]();
    server.close();
  });

  async function open() {
    const socket = connect(proxy.port, '127.0.0.1');
    clients.push(socket);
    const client = { socket, answers: '', isClosed: false };
    socket
      .on('error', () => undefined)
      .on('close', () => (client.isClosed = true))
      .on('data', (chunk) => (client.answers += chunk.toString()));
    await new Promise<void>((resolve) => {
      socket.once('connect', () => resolve()).once('close', () => resolve());
    });
    return client;
  }
  const isTrue = (what: string, look: () => boolean) => until(what, () => (look() ? true : null));

  it('holds the request that ends a sequence, also one in two pieces, on one connection', async () => {
    const hold = proxy.hold({ what: 'request', after: ['begin', 'commit'] });
    const [one, two] = [await open(), await open()];
    one.socket.write('begin;');
    two.socket.write('commit;');
    await isTrue('both are answered', () => one.answers === 'BEGIN;' && two.answers === 'COMMIT;');
    one.socket.write('com');
    await isTrue('the first piece passed', () => one.answers === 'BEGIN;COM');
    one.socket.write('mit;');
    await hold.held;
    expect([hold.isHolding, received.endsWith('com')]).toEqual([true, true]);
    two.socket.write('begin;commit;');
    await isTrue('another one passes', () => two.answers === 'COMMIT;BEGIN;COMMIT;');
    hold.release();
    await isTrue('it passes after all', () => one.answers === 'BEGIN;COMMIT;');
  });

  it('holds the answer to what was done, and loses it with its client', async () => {
    const hold = proxy.hold({ what: 'answer', after: ['insert'] });
    const [one, two] = [await open(), await open()];
    one.socket.write('insert');
    await hold.held;
    expect([received, one.answers]).toEqual(['insert', '']);
    one.socket.destroy();
    hold.release();
    two.socket.write('insert');
    await isTrue('the next one is answered', () => two.answers === 'INSERT');
  });

  it('lets as many pass as it is told to, whoever sends them', async () => {
    const hold = proxy.hold({ what: 'request', after: ['update'], passing: 2 });
    const [one, two] = [await open(), await open()];
    one.socket.write('update');
    await isTrue('the first passes', () => one.answers === 'UPDATE');
    two.socket.write('update');
    await isTrue('the second passes', () => two.answers === 'UPDATE');
    one.socket.write('update');
    await hold.held;
    expect(one.answers).toBe('UPDATE');
    hold.release();
    await isTrue('it passes after all', () => one.answers === 'UPDATEUPDATE');
  });

  it('cuts, refuses, is silent, and passes again', async () => {
    const cut = await open();
    proxy.cut();
    await isTrue('it is cut', () => cut.isClosed);
    await proxy.refuse();
    expect((await open()).isClosed).toBe(true);
    await proxy.pass();
    const before = await open();
    before.socket.write('a');
    await isTrue('it passes', () => before.answers === 'A');
    proxy.blackHole();
    const during = await open();
    before.socket.write('b');
    during.socket.write('c');
    await proxy.pass();
    await isTrue('nobody knows what became of them', () => before.isClosed && during.isClosed);
    expect(received).toBe('a');
    const after = await open();
    after.socket.write('d');
    await isTrue('it passes again', () => after.answers === 'D');
  });
});
