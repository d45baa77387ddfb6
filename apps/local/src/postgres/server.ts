import { type ChildProcess, type SpawnOptions, spawnSync } from 'node:child_process';
import { closeSync, createReadStream, existsSync, openSync, readFileSync } from 'node:fs';
import { chown, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { StartFailure } from '../data-folder.js';
import { sizeOf } from '../logs.js';
import { endOf, type Processes, reportWaiting, SUCCESS, until } from '../processes.js';
import type { PostgresHome } from './home.js';

export interface PostgresOptions {
  readonly home: PostgresHome;
  readonly port: number;
  readonly password: string;
  readonly logFile: string;
  /** False trades durability for speed, for tests only; default true. */
  readonly durable?: boolean;
  /** Maximum number of connections; default 100. */
  readonly maxConnections?: number;
  /** Receives a line for the user about what the start waits for. */
  readonly report?: (line: string) => void;
  /** Starts a program under a name, in its own process group. */
  readonly spawn: Processes['spawn'];
}

const USER = 'stowage';
/** After a crash, child processes of the old server may still hold its lock file or shared memory for a moment. */
const LOCK_HELD = /lock file ".*" already exists|shared memory block .* still in use/;
const LOCK_RETRIES = 20;
const RETRY_MS = 250;

/** Connection URL of a database on the server at this loopback port, including the password. */
export const databaseUrl = (port: number, password: string, database = USER) =>
  `postgresql://${USER}:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}`;

/**
 * Starts PostgreSQL on 127.0.0.1, after creating its cluster if necessary, and returns when the server accepts
 * connections. The server survives the end of its parent process; a later call stops it, and PostgreSQL recovers.
 * @throws StartFailure with PostgreSQL's reason if the server does not start
 */
export async function startPostgres(options: PostgresOptions): Promise<ChildProcess> {
  const cluster = path.join(options.home.folder, 'data');
  if (!existsSync(cluster)) await createCluster(options, cluster);
  await checkCluster(options, cluster);
  const pidFile = path.join(cluster, 'postmaster.pid');
  await stopLeftover(cluster, pidFile);
  for (let attempt = 1; ; attempt++) {
    const from = sizeOf(options.logFile);
    const server = spawnServer(options, cluster);
    let ended = false;
    server.once('exit', () => (ended = true));
    const started = until(() => ended || isReady(pidFile, server.pid));
    await reportWaiting('PostgreSQL', started, options.report);
    if (!ended && isReady(pidFile, server.pid)) return server;
    const reason = await lastFailure(options.logFile, from);
    if (attempt > LOCK_RETRIES || !LOCK_HELD.test(reason)) {
      throw new StartFailure(`PostgreSQL does not start on ${cluster}: ${reason} (log: ${options.logFile})`);
    }
    await delay(RETRY_MS);
  }
}

/**
 * Errors to retry: timeouts of the client, a server that is still starting, and an earlier `create database` that
 * continues after its timeout. https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const isTemporary = (error: unknown) =>
  error instanceof Error &&
  (/timeout/.test(error.message) ||
    ['57P03', '42P04', '55006'].includes(String((error as NodeJS.ErrnoException).code)));

/**
 * Creates the database `stowage` if it does not exist, with retries while the server does not answer in time.
 * @throws StartFailure if the server rejects the connection
 */
export async function createDatabase(
  port: number,
  password: string,
  report?: (line: string) => void,
): Promise<void> {
  try {
    await reportWaiting('an answer of PostgreSQL', ensureDatabase(port, password), report);
  } catch (error) {
    throw new StartFailure(`PostgreSQL runs but cannot be used: ${(error as Error).message}`);
  }
}

async function ensureDatabase(port: number, password: string): Promise<void> {
  while (!(await tryDatabase(port, password))) await delay(RETRY_MS);
}

/** Creates the database if necessary. False if the server did not answer in time. */
async function tryDatabase(port: number, password: string): Promise<boolean> {
  const client = new pg.Client({
    connectionString: databaseUrl(port, password, 'postgres'),
    connectionTimeoutMillis: 10_000,
    query_timeout: 30_000,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rowCount } = await client.query('select from pg_database where datname = $1', [USER]);
    if (rowCount === 0) await client.query(`create database ${USER}`);
    return true;
  } catch (error) {
    if (isTemporary(error)) return false;
    throw error;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Creates the cluster under a temporary name and renames it, so that an interrupted start leaves no partial cluster. */
async function createCluster(options: PostgresOptions, cluster: string): Promise<void> {
  const { home, password } = options;
  const draft = `${cluster}.new`;
  const passwordFile = path.join(home.folder, 'password');
  await rm(draft, { recursive: true, force: true });
  await writeFile(passwordFile, password + '\n', { mode: 0o600 });
  if (home.account !== undefined) await chown(passwordFile, home.account.uid, home.account.gid);
  const args = [
    ...['--pgdata', draft, '--username', USER, '--pwfile', passwordFile, '--auth', 'scram-sha-256'],
    ...['--encoding', 'UTF8', '--locale', 'C', '--locale-provider', 'builtin', '--builtin-locale', 'C.UTF-8'],
    ...(options.durable === false ? ['--no-sync'] : []),
  ];
  const initdb = options.spawn('initdb', path.join(home.programs, 'bin/initdb'), args, {
    ...processOptions(home),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const [stderr, end] = await Promise.all([text(initdb.stderr!), endOf(initdb)]);
  await rm(passwordFile, { force: true });
  if (end !== SUCCESS) {
    await rm(draft, { recursive: true, force: true });
    const reason =
      stderr.split('\n').find((line) => /error|fatal/i.test(line)) ?? stderr.trim().split('\n').at(-1);
    throw new StartFailure(`PostgreSQL cannot create its cluster in ${home.folder}: ${reason}`);
  }
  await rename(draft, cluster);
}

async function checkCluster({ home }: PostgresOptions, cluster: string): Promise<void> {
  const [found, wanted] = await Promise.all([
    readFile(path.join(cluster, 'PG_VERSION'), 'utf8').catch(() => null),
    readFile(path.join(home.programs, 'share/postgresql/postgres.bki'), 'utf8').then(
      (text) => /^# PostgreSQL (\d+)/.exec(text)?.[1],
    ),
  ]);
  if (found === null) {
    throw new StartFailure(
      `${cluster} is damaged: it is not a PostgreSQL cluster; restore it or remove the data folder`,
    );
  }
  if (wanted !== undefined && found.trim() !== wanted) {
    throw new StartFailure(
      `${cluster} was created by PostgreSQL ${found.trim()}, but this is PostgreSQL ${wanted}`,
    );
  }
}

function spawnServer(options: PostgresOptions, cluster: string): ChildProcess {
  const { home, port, durable = true, maxConnections = 100 } = options;
  const settings: Record<string, string | number> = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: maxConnections,
    timezone: 'UTC',
    log_timezone: 'UTC',
    // The details of errors quote rows and parameters, which contain client data.
    log_error_verbosity: 'terse',
    ...(durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
  };
  const args = [
    '-D',
    cluster,
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
  const log = openSync(options.logFile, 'a', 0o600);
  try {
    return options.spawn('postgres', path.join(home.programs, 'bin/postgres'), args, {
      ...processOptions(home),
      stdio: ['ignore', log, log],
    });
  } finally {
    closeSync(log);
  }
}

/** Keeps variables of this process (PG…, LC_…) out of the server's environment. */
const processOptions = ({ account, folder }: PostgresHome): SpawnOptions => ({
  ...account,
  cwd: '/',
  env: { PATH: process.env.PATH, HOME: folder, LC_ALL: 'C', LC_MESSAGES: 'C' },
});

/**
 * Line 1 of the file is the process id, line 8 the status:
 * https://www.postgresql.org/docs/current/storage-file-layout.html
 */
function isReady(pidFile: string, pid: number | undefined): boolean {
  try {
    const lines = readFileSync(pidFile, 'utf8').split('\n');
    return Number(lines[0]) === pid && lines[7]?.trim() === 'ready';
  } catch {
    return false;
  }
}

/**
 * Stops a server of this cluster that no record names. If the pid file names any other process, the file is removed,
 * since PostgreSQL would take any process of the same user for a server of the cluster.
 */
async function stopLeftover(cluster: string, pidFile: string): Promise<void> {
  const pid = Number.parseInt(await readFile(pidFile, 'utf8').catch(() => ''), 10);
  if (Number.isInteger(pid) && pid > 1 && (await commandLine(pid)).includes(cluster)) {
    process.kill(pid, 'SIGINT');
    await until(() => !existsSync(pidFile), 10_000);
  } else {
    await rm(pidFile, { force: true });
  }
}

async function commandLine(pid: number): Promise<string> {
  if (process.platform === 'linux') return readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return spawnSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).stdout;
}

const MAX_READ_BYTES = 64 * 1024;

/** The last failure that the server logged after the given position. */
async function lastFailure(logFile: string, from: number): Promise<string> {
  const log = await text(createReadStream(logFile, { start: from, end: from + MAX_READ_BYTES - 1 }));
  const failures = [...log.matchAll(/\b(?:FATAL|PANIC):\s+(.*)/g)].map(([, message]) => message);
  return failures.at(-1) ?? log.trim().split('\n').at(-1) ?? 'no reason given';
}
