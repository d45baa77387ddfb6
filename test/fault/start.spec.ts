import { expect, it } from '@jest/globals';
import pg from 'pg';
import { Fleet } from '../support/fleet.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../../libs/testing/src/until.js';

// Real: an api and a worker as processes, PostgreSQL behind a proxy, queue tables, emulators.
it('starts an api and a worker before PostgreSQL: both log that they wait, and become ready with it', async () => {
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
    // A failure is reported at the end of the test, not as an unhandled rejection.
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

it('fails at once with a wrong password', async () => {
  await using fleet = await Fleet.start({
    apis: 0,
    workers: 0,
    databaseUrl: (url) => Object.assign(new URL(url), { password: 'wrong' }).href,
  });
  await expect(fleet.addApi()).rejects.toThrow('password authentication failed');
});

it('fails at once without one of its migrations', async () => {
  await using fleet = await Fleet.start({ apis: 0, workers: 0 });
  const client = new pg.Client({ connectionString: fleet.database.url });
  await client.connect();
  await client.query(`delete from _prisma_migrations where migration_name like '%_init'`);
  await client.end();
  for (const start of [fleet.addApi(), fleet.addWorker()]) {
    await expect(start).rejects.toThrow('The database lacks the migration');
  }
});
