import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { GcsClient } from './gcs-client.js';

describe('GcsClient', () => {
  const never = () => new Promise<never>(() => undefined);

  it('ends a wait that is not for storage, like that for a token', async () => {
    const client = new GcsClient({});
    await expect(client.call({ timeoutMs: 20 }, never)).rejects.toThrow('did not answer in time');
    const giveUp = new AbortController();
    const call = client.call({ timeoutMs: 60_000, signal: giveUp.signal }, never);
    giveUp.abort(new Error('enough'));
    await expect(call).rejects.toThrow('enough');
  });

  it('begins nothing that is not wanted any more', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    let begun = false;
    const call = new GcsClient({}).call({ timeoutMs: 1000, signal }, () => Promise.resolve((begun = true)));
    await expect(call).rejects.toThrow('enough');
    expect(begun).toBe(false);
  });

  describe('with a request under way', () => {
    const closing: http.Server[] = [];
    afterEach(() => {
      for (const server of closing.splice(0)) server.closeAllConnections();
    });
    const silent = async () => {
      const server = http.createServer();
      closing.push(server);
      await once(server.listen(0, '127.0.0.1'), 'listening');
      return { server, port: (server.address() as AddressInfo).port };
    };

    it.each([
      ['ends it when it is for storage', '127.0.0.1', true],
      ['leaves it when it is for another, on which other calls may be waiting', 'localhost', false],
    ])('%s', async (_, hostname, ended) => {
      const { server, port } = await silent();
      const arrived = once(server, 'request');
      const outcome = Promise.withResolvers<string>();
      const giveUp = new AbortController();
      const call = new GcsClient({ endpoint: 'http://127.0.0.1:1' }).call(
        { timeoutMs: 60_000, signal: giveUp.signal },
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
      giveUp.abort(new Error('enough'));
      await expect(call).rejects.toThrow('enough');
      response.end();
      expect(await outcome.promise).toBe(ended ? 'ended' : 'answered');
      server.close();
    });
  });

  it('refuses to send elsewhere than it is told', () => {
    process.env.STORAGE_EMULATOR_HOST = 'http://127.0.0.1:1';
    try {
      expect(() => new GcsClient({})).toThrow('STORAGE_EMULATOR_HOST');
      expect(() => new GcsClient({ endpoint: 'http://127.0.0.1:1' })).not.toThrow();
    } finally {
      delete process.env.STORAGE_EMULATOR_HOST;
    }
  });
});
