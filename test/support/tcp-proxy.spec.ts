import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TcpProxy } from './tcp-proxy.js';
import { until } from '../../libs/testing/src/until.js';

describe('TcpProxy (real: sockets on loopback, a server that answers in capitals)', () => {
  let server: Server;
  let proxy: TcpProxy;
  /** Everything that the server received. */
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
  const isTrue = (what: string, check: () => boolean) => until(what, () => (check() ? true : null));

  it('holds the request that completes a sequence on one connection, also in two chunks', async () => {
    const hold = proxy.hold({ what: 'request', after: ['begin', 'commit'] });
    const [one, two] = [await open(), await open()];
    one.socket.write('begin;');
    two.socket.write('commit;');
    await isTrue('both are answered', () => one.answers === 'BEGIN;' && two.answers === 'COMMIT;');
    one.socket.write('com');
    await isTrue('the first chunk passed', () => one.answers === 'BEGIN;COM');
    one.socket.write('mit;');
    await hold.held;
    expect([hold.isHolding, received.endsWith('com')]).toEqual([true, true]);
    two.socket.write('begin;commit;');
    await isTrue('the other connection passes', () => two.answers === 'COMMIT;BEGIN;COMMIT;');
    hold.release();
    await isTrue('the held request passes', () => one.answers === 'BEGIN;COMMIT;');
  });

  it('holds the answer to an executed request, and drops it with its client', async () => {
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

  it('lets the given number of matches pass, from any client', async () => {
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
    await isTrue('the held request passes', () => one.answers === 'UPDATEUPDATE');
  });

  it('cuts, refuses and silences connections, and passes again', async () => {
    const cut = await open();
    proxy.cut();
    await isTrue('the connection is cut', () => cut.isClosed);
    await proxy.refuse();
    expect((await open()).isClosed).toBe(true);
    await proxy.pass();
    const before = await open();
    before.socket.write('a');
    await isTrue('the request passes', () => before.answers === 'A');
    proxy.blackHole();
    const during = await open();
    before.socket.write('b');
    during.socket.write('c');
    await proxy.pass();
    await isTrue('the silent connections are closed', () => before.isClosed && during.isClosed);
    expect(received).toBe('a');
    const after = await open();
    after.socket.write('d');
    await isTrue('requests pass again', () => after.answers === 'D');
  });
});
