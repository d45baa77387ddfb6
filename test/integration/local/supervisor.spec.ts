import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  chownSync,
  existsSync,
  readFileSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { eventually, isRunning, Site } from './stack.js';

/** Real: the supervisor, its processes and signals, PostgreSQL. Fake: the emulators, api and worker. */
let used: Site;
/** The shared site in the state after an earlier run, unless a test creates another one. */
let site: Site;
beforeAll(async () => {
  used = await Site.make();
  await used.start().ready();
  await used.reset();
});
afterAll(() => used.remove());
beforeEach(() => {
  site = used;
});
afterEach(() => (site === used ? site.reset() : site.remove()));

/** Creates a site without a data folder. */
const createSite = async () => (site = await Site.make());
/** Copies the shared site, so that a test may damage its data folder. */
const copySite = async () => (site = await Site.make(used.data));

const started = (name: string) => site.events().filter((event) => event.startsWith(`${name} started`)).length;
const allEnded = (pids: Record<string, number>) => Object.values(pids).every((pid) => !isRunning(pid));

describe('start and stop', () => {
  it('prints ready last and stops children before their dependencies', async () => {
    await createSite();
    const run = await site.start().ready();
    expect(run.stdout.trimEnd().split('\n').at(-1)).toBe(`ready http://127.0.0.1:${site.port}/graphql`);
    expect(statSync(path.join(site.data, 'secrets.json')).mode & 0o777).toBe(0o600);
    const pids = site.pids();
    expect(Object.keys(pids).sort()).toEqual(['api', 'emulators', 'postgres', 'supervisor', 'worker']);

    expect(await run.stop('SIGINT')).toBe(0);
    expect(site.events().filter((event) => event.includes('stopped'))).toEqual([
      'api stopped',
      'worker stopped',
      'emulators stopped',
    ]);
    expect(readFileSync(path.join(site.data, 'logs/postgres.log'), 'utf8')).toContain(
      'database system is shut down',
    );
    expect(allEnded(pids)).toBe(true);
    expect(run.stderr).toBe('');
  });

  it('reports a child that it waits for and continues once the child is ready', async () => {
    await createSite();
    const run = site.start({ HELD: 'api' });
    await eventually(() => run.stdout.includes('Waiting for the api ('), 'the wait is reported');
    writeFileSync(path.join(site.data, 'go'), '');
    await run.ready();
    expect(await run.stop()).toBe(0);
  });

  it('keeps its secrets and its cluster across starts', async () => {
    const kept = () => [
      readFileSync(path.join(site.data, 'secrets.json'), 'utf8'),
      statSync(path.join(site.cluster, 'PG_VERSION')).ino,
    ];
    const before = kept();
    await (await site.start().ready()).stop();
    expect(kept()).toEqual(before);
  });

  it('keeps PostgreSQL’s log bounded while it runs', async () => {
    const run = await site.start().ready();
    const log = path.join(site.data, 'logs/postgres.log');
    const limit = 20 * 2 ** 20;
    truncateSync(log, limit + 1);
    await eventually(() => statSync(log).size < limit, 'the log is rotated');
    expect(statSync(`${log}.old`).size).toBeGreaterThan(limit);
    await run.stop();
    expect(readFileSync(log, 'utf8')).toContain('database system is shut down');
  });

  it('treats a repeated signal as one, because npm and the terminal both send it', async () => {
    const run = await site.start().ready();
    for (const signal of ['SIGINT', 'SIGINT', 'SIGTERM'] as const) run.child.kill(signal);
    expect(await run.ended).toBe(0);
    expect(site.events()).toContain('emulators stopped');
  });

  it('receives Ctrl-C without its children receiving it', async () => {
    const run = await site.start({}, { detached: true }).ready();
    process.kill(-run.child.pid!, 'SIGINT');
    expect(await run.ended).toBe(0);
    expect(site.events().slice(-3)).toEqual(['api stopped', 'worker stopped', 'emulators stopped']);
  });

  it('ends immediately on a second signal', async () => {
    const run = await site.start({ STUBBORN: 'api' }).ready();
    const pids = site.pids();
    await eventually(
      () => !isRunning(pids.api!) || !run.child.kill('SIGINT'),
      'the supervisor kills the child that does not stop',
    );
    expect(await run.ended).toBe(130);
    expect(allEnded(pids)).toBe(true);
  });

  it('stops when its launcher disconnects', async () => {
    const run = await site.start().ready();
    run.child.disconnect();
    expect(await run.ended).toBe(0);
  });

  it.each(['initdb', 'postgres'])(
    'stops cleanly while %s is being started and can start later',
    async (name) => {
      await createSite();
      const run = site.start();
      await eventually(
        () => existsSync(path.join(site.data, 'run.json')) && name in site.pids(),
        `${name} runs`,
      );
      const pids = site.pids();
      expect(await run.stop('SIGINT')).toBe(0);
      expect(run.stderr).toBe('');
      expect(allEnded(pids)).toBe(true);
      await site.start().ready();
    },
  );
});

describe('a child that ends unexpectedly', () => {
  it('is restarted', async () => {
    const run = await site.start().ready();
    const names = ['api', 'worker', 'emulators'];
    for (const name of names) process.kill(site.pids()[name]!, 'SIGKILL');
    await eventually(() => names.every((name) => started(name) === 2), 'all children run again');
    for (const name of names)
      expect(run.stdout).toMatch(new RegExp(`^${name} ended \\(SIGKILL\\).*; starting it again`, 'm'));
    expect(await run.stop()).toBe(0);
  });

  it('is restarted when it is PostgreSQL', async () => {
    const run = await site.start().ready();
    const before = site.pids().postgres!;
    process.kill(before, 'SIGKILL');
    await eventually(() => (site.pids().postgres ?? before) !== before, 'another server runs');
    const pidFile = path.join(site.cluster, 'postmaster.pid');
    await eventually(
      () => existsSync(pidFile) && readFileSync(pidFile, 'utf8').includes('ready'),
      'PostgreSQL accepts connections',
    );
    expect(await run.stop()).toBe(0);
  });
});

describe('the state after a killed run', () => {
  it('is cleaned up when only the supervisor was killed', async () => {
    const run = await site.start().ready();
    const before = site.pids();
    expect(await run.stop('SIGKILL')).toBeNull();
    expect(isRunning(before.postgres!)).toBe(true);
    await site.start().ready();
    expect(allEnded(before)).toBe(true);
  });

  it('does not prevent a start when every process was killed', async () => {
    const run = await site.start().ready();
    for (const pid of Object.values(site.pids())) process.kill(pid, 'SIGKILL');
    await run.ended;
    await (await site.start().ready()).stop();
    expect(readFileSync(path.join(site.data, 'logs/postgres.log'), 'utf8')).toContain(
      'automatic recovery in progress',
    );
  });

  it('is detected without the record of the run', async () => {
    const run = await site.start().ready();
    const { postgres } = site.pids();
    await run.stop('SIGKILL');
    writeFileSync(path.join(site.data, 'run.json'), '[{"na');
    // Uses other ports, because the check of ports would fail before the check of PostgreSQL.
    await site.start({ PORT: String(site.port + 4) }).ready();
    expect(isRunning(postgres!)).toBe(false);
  });

  it('is ignored when its process id belongs to another process', async () => {
    writeFileSync(path.join(site.cluster, 'postmaster.pid'), `${process.pid}\n${site.cluster}\n`);
    writeFileSync(
      path.join(site.data, 'run.json'),
      JSON.stringify([{ name: 'postgres', pid: process.pid, started: '1' }]),
    );
    await site.start().ready();
  });
});

describe('an error at start', () => {
  it('is one sentence for a second start in a folder that is in use', async () => {
    const run = await site.start().ready();
    expect(await site.start().failure()).toEqual({
      code: 1,
      lines: [`Stowage is already running in ${site.data} (pid ${run.child.pid})`],
    });
    expect(await run.stop()).toBe(0);
  });

  it.each([
    [0, 'the API'],
    [1, 'the Cloud Storage emulator'],
    [2, 'the Pub/Sub emulator'],
    [3, 'PostgreSQL'],
  ])('is one sentence for PORT + %i in use', async (offset, purpose) => {
    const other = createServer().listen(site.port + offset, '127.0.0.1');
    await once(other, 'listening');
    const { code, lines } = await site.start().failure();
    other.close();
    expect(code).toBe(1);
    expect(lines).toEqual([
      expect.stringContaining(`Port ${site.port + offset}, which ${purpose} needs, is in use`),
    ]);
    expect(lines[0]).toContain('PORT=');
  });

  it('is not caused by the port of Pub/Sub when an emulator is configured', async () => {
    const other = createServer().listen(site.port + 2, '127.0.0.1');
    await once(other, 'listening');
    await site.start({ PUBSUB_EMULATOR_HOST: '127.0.0.1:8085' }).ready();
    other.close();
  });

  it.each([
    ['an invalid port', { PORT: 'http' }, 'PORT must be a number'],
    ['a data folder that is a file', { DATA_DIR: import.meta.filename }, 'is not a folder'],
    ['a child that rejects its configuration', { REFUSE: 'api' }, 'QUOTA_BYTES is not a number'],
  ])('is one sentence for %s', async (_, env, sentence) => {
    const { code, lines } = await site.start(env).failure();
    expect(code).toBe(1);
    expect(lines).toEqual([expect.stringContaining(sentence)]);
    expect(existsSync(path.join(site.cluster, 'postmaster.pid'))).toBe(false);
  });

  it.each([
    [
      'secrets.json',
      () => writeFileSync(path.join(site.data, 'secrets.json'), '{"jwtSecret": 1}'),
      /secrets\.json is damaged/,
    ],
    [
      'run.lock',
      () => writeFileSync(path.join(site.data, 'run.lock'), 'x'.repeat(4096)),
      /run\.lock is damaged/,
    ],
    ['PG_VERSION', () => unlinkSync(path.join(site.cluster, 'PG_VERSION')), /not a PostgreSQL cluster/],
    [
      'pg_control',
      () => truncateSync(path.join(site.cluster, 'global/pg_control'), 100),
      /PostgreSQL does not start on .*pg_control/,
    ],
    [
      'pg_hba.conf',
      () => writeFileSync(path.join(site.cluster, 'pg_hba.conf'), 'nonsense\n'),
      /PostgreSQL does not start on/,
    ],
  ])('is one sentence for a damaged %s', async (_, damage, sentence) => {
    await copySite();
    damage();
    const { code, lines } = await site.start().failure();
    expect(code).toBe(1);
    expect(lines).toEqual([expect.stringMatching(sentence)]);
  });
});

const nobody = { uid: 65534, gid: 65534 };
const root = process.getuid?.() === 0;
/** The user `nobody` cannot run Node.js in a folder that is closed to others, such as a clone in root's home. */
const isOpen = root && spawnSync(process.execPath, ['--version'], { ...nobody, cwd: '/' }).status === 0;
if (root && !isOpen)
  process.stdout.write('skipped: the supervisor as another user (who cannot read this folder)\n');
(isOpen ? describe : describe.skip)('the supervisor as another user', () => {
  it('runs PostgreSQL as that user', async () => {
    await createSite();
    await mkdir(site.data);
    chownSync(site.data, nobody.uid, nobody.gid);
    const run = await site.start({}, nobody).ready();
    expect(statSync(site.cluster).uid).toBe(nobody.uid);
    expect(await run.stop()).toBe(0);
    // Started by root, PostgreSQL still runs as the owner of the cluster.
    expect(await (await site.start().ready()).stop()).toBe(0);
    expect(statSync(path.join(site.cluster, 'PG_VERSION')).uid).toBe(nobody.uid);
  });

  it('reports a folder that is not writable', async () => {
    const { code, lines } = await site.start({}, nobody).failure();
    expect(code).toBe(1);
    expect(lines).toEqual([expect.stringContaining(`${site.data} is not writable for you`)]);
  });
});
