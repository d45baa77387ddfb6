import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { GcsClient } from './gcs-client.js';

describe('GcsClient', () => {
  const never = () => new Promise<never>(() => undefined);

  it('cancels an attempt that waits for something other than a storage request', async () => {
    const client = new GcsClient({});
    await expect(client.call({ timeoutMs: 20 }, never)).rejects.toThrow('did not answer in time');
    const controller = new AbortController();
    const call = client.call({ timeoutMs: 60_000, signal: controller.signal }, never);
    controller.abort(new Error('enough'));
    await expect(call).rejects.toThrow('enough');
  });

  it('makes no attempt if the signal has already aborted', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    let attempted = false;
    const call = new GcsClient({}).call({ timeoutMs: 1000, signal }, () =>
      Promise.resolve((attempted = true)),
    );
    await expect(call).rejects.toThrow('enough');
    expect(attempted).toBe(false);
  });

  describe('cancelling a call with a request in flight', () => {
    const servers: http.Server[] = [];
    afterEach(() => {
      for (const server of servers.splice(0)) server.closeAllConnections();
    });
    const startSilentServer = async () => {
      const server = http.createServer();
      servers.push(server);
      await once(server.listen(0, '127.0.0.1'), 'listening');
      return { server, port: (server.address() as AddressInfo).port };
    };

    it.each([
      ['destroys the request to the storage host', '127.0.0.1', true],
      ['leaves a request to another host alone', 'localhost', false],
    ])('%s', async (_, hostname, ended) => {
      const { server, port } = await startSilentServer();
      const arrived = once(server, 'request');
      const outcome = Promise.withResolvers<string>();
      const controller = new AbortController();
      const call = new GcsClient({ endpoint: 'http://127.0.0.1:1' }).call(
        { timeoutMs: 60_000, signal: controller.signal },
        () => {
          http
            .get({ hostname, port, family: 4, agent: false }, (response) => {
              response.resume();
              outcome.resolve('answered');
            })
            .once('error', () => outcome.resolve('ended'));
          return never();
        },
      );
      const [, response] = (await arrived) as [unknown, http.ServerResponse];
      controller.abort(new Error('enough'));
      await expect(call).rejects.toThrow('enough');
      response.end();
      expect(await outcome.promise).toBe(ended ? 'ended' : 'answered');
      server.close();
    });
  });

  it('rejects an endpoint that STORAGE_EMULATOR_HOST overrides', () => {
    process.env.STORAGE_EMULATOR_HOST = 'http://127.0.0.1:1';
    try {
      expect(() => new GcsClient({})).toThrow('STORAGE_EMULATOR_HOST');
      expect(() => new GcsClient({ endpoint: 'http://127.0.0.1:1' })).not.toThrow();
    } finally {
      delete process.env.STORAGE_EMULATOR_HOST;
    }
  });
});
