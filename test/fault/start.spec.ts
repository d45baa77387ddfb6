import { expect, it } from '@jest/globals';
import { Fleet } from '../support/fleet.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

// Real: an api and a worker as processes, PostgreSQL behind a proxy, queue tables, emulators.
it('an api and a worker that start before PostgreSQL say what they wait for, and become ready with it', async () => {
  let proxy!: TcpProxy;
  await using fleet = await Fleet.start({
    apis: 0,
    workers: 0,
    databaseUrl: async (url) => {
      proxy = await TcpProxy.start(new URL(url).host);
      return proxy.urlOf(url);
    },
  });
  try {
    await proxy.refuse();
    const starts = Promise.all([fleet.addApi(), fleet.addWorker()]);
    // Their failure is for the end of the test.
    starts.catch(() => undefined);
    const isWaiting = () =>
      [...fleet.apis, ...fleet.workers].filter(({ output }) => output.includes('waiting for PostgreSQL'))
        .length === 2 || null;
    await until('both wait for PostgreSQL', isWaiting);
    await proxy.pass();
    for (const member of await starts) {
      await until(
        `the ${member.name} is ready`,
        async () => (await member.fetch('/health/ready')).status === 200 || null,
      );
    }
  } finally {
    await proxy[Symbol.asyncDispose]();
  }
});

it('a wrong password ends the start at once', async () => {
  await using fleet = await Fleet.start({
    apis: 0,
    workers: 0,
    databaseUrl: (url) => Object.assign(new URL(url), { password: 'wrong' }).href,
  });
  await expect(fleet.addApi()).rejects.toThrow('password authentication failed');
});
