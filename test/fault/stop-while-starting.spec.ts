import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Fleet } from '../support/fleet.js';
import { until } from '../support/until.js';

describe('a worker that waits for a server (real: the worker as a process, PostgreSQL)', () => {
  let fleet: Fleet;
  let silent: Server;
  const sockets = new Set<Socket>();

  beforeAll(async () => {
    fleet = await Fleet.start({ apis: 0, workers: 0 });
  });
  beforeEach(async () => {
    // Accepts connections and never answers.
    silent = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
    await once(silent.listen(0, '127.0.0.1'), 'listening');
  });
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    silent.close();
  });
  afterAll(() => fleet?.[Symbol.asyncDispose]());

  const silentUrl = (protocol: string) => `${protocol}://127.0.0.1:${(silent.address() as AddressInfo).port}`;

  it.each([
    ['PostgreSQL', 'SIGTERM', () => ({ DATABASE_URL: `${silentUrl('postgres')}/stowage` })],
    ['PostgreSQL', 'SIGINT', () => ({ DATABASE_URL: `${silentUrl('postgres')}/stowage` })],
    ['Redis', 'SIGTERM', () => ({ REDIS_URL: silentUrl('redis') })],
  ] as const)('ends with code 0 at a stop signal: %s, %s', async (_, signal, env) => {
    const start = fleet.addWorker(env());
    const end = expect(start).rejects.toThrow('ended');
    await until('the worker has connected', () => (sockets.size > 0 ? true : null));
    const worker = fleet.workers.pop()!;
    // A start that is drained never ends here: the worker exits with code 1 at the limit.
    expect([await worker.end(signal), worker.output]).toEqual([
      0,
      expect.not.stringContaining('not drained'),
    ]);
    await end;
  });
});
