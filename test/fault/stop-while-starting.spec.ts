import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Fleet } from '../support/fleet.js';
import { until } from '../../libs/testing/src/until.js';

describe('a starting process that waits for a server (real: api and worker as processes, PostgreSQL)', () => {
  let fleet: Fleet;
  let silent: Server;
  const sockets = new Set<Socket>();

  beforeAll(async () => {
    fleet = await Fleet.start({ apis: 0, workers: 0 });
  });
  beforeEach(async () => {
    // This server accepts connections and never answers.
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

  const postgres = () => ({ DATABASE_URL: `${silentUrl('postgres')}/stowage` });
  const redis = () => ({ REDIS_URL: silentUrl('redis') });
  it.each([
    ['worker', 'PostgreSQL', 'SIGTERM', postgres],
    ['worker', 'PostgreSQL', 'SIGINT', postgres],
    ['worker', 'Redis', 'SIGTERM', redis],
    ['api', 'PostgreSQL', 'SIGTERM', postgres],
    ['api', 'PostgreSQL', 'SIGINT', postgres],
  ] as const)('exits with code 0 on a stop signal: %s, %s, %s', async (part, _, signal, env) => {
    const start = part === 'api' ? fleet.addApi(env()) : fleet.addWorker(env());
    const end = expect(start).rejects.toThrow('ended');
    await until('the process has connected', () => (sockets.size > 0 ? true : null));
    const member = (part === 'api' ? fleet.apis : fleet.workers).pop()!;
    // Draining an unfinished start would never end: the process would exit with code 1 at the limit.
    expect([await member.end(signal), member.output]).toEqual([
      0,
      expect.not.stringContaining('not drained'),
    ]);
    await end;
  });
});
