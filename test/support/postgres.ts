import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { postgresHome } from '../../apps/local/src/postgres/home.js';
import { createDatabase, databaseUrl, startPostgres } from '../../apps/local/src/postgres/server.js';
import { migrateDatabase } from '../../libs/database/src/migrate.js';
import { migrateQueue } from '../../libs/queue/src/migrate.js';
import { featuresWithTables } from '../../scripts/prisma/project-schema.js';

const ROOT = path.resolve(import.meta.dirname, '../..');

/** For all suites that run at once. A fleet of several apis and workers may hold a hundred connections. */
const MAX_CONNECTIONS = 500;

/** Waits until the test process ends in any way, then stops the server and removes its files. */
const GUARD = `cat >/dev/null; pid=$(cat "$1"); kill -INT "$pid" 2>/dev/null; while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done; shift; rm -rf "$@"`;

export interface TestPostgres {
  /** Name of a database with all tables, which is only copied. */
  readonly template: string;
  /** URL of the server's database `postgres`. */
  readonly url: string;
  /** Kills the server with SIGKILL. The returned function starts it again on its port. */
  crash(): Promise<() => Promise<void>>;
  /** Stops the server and removes its files. */
  stop(): Promise<void>;
}

interface TestPostgresOptions {
  /** Whether committed data survive a crash, which makes the server slower. Default: false. */
  readonly durable?: boolean;
  /** Features whose tables the template database has. Default: all in `libs/`, so that those that are not listed can be tested. */
  readonly features?: readonly string[];
}

/**
 * Starts PostgreSQL on a free port and in its own folder, with a template database that has all tables. The server ends
 * with this process, even when that is killed.
 */
export async function startTestPostgres({
  durable = false,
  features = featuresWithTables(ROOT),
}: TestPostgresOptions = {}): Promise<TestPostgres> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'stowage-postgres-'));
  // As root, PostgreSQL runs as another user, who needs to enter the folder.
  await chmod(folder, 0o711);
  const home = await postgresHome(folder);
  const [port, password] = [await freePort(), randomBytes(12).toString('hex')];
  const pidFile = path.join(folder, 'pid');
  const run = async (): Promise<ChildProcess> => {
    const logFile = path.join(folder, 'postgres.log');
    const server = await startPostgres({
      home,
      port,
      password,
      durable,
      maxConnections: MAX_CONNECTIONS,
      logFile,
      spawn: (_name, command, args, options) => spawn(command, args, options),
    });
    await writeFile(pidFile, String(server.pid));
    return server;
  };
  let server = await run();
  const guard = spawn('/bin/sh', ['-c', GUARD, 'sh', pidFile, folder, home.folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const stop = async () => {
    const isRunning = server.exitCode === null && server.signalCode === null;
    const gone = Promise.all([once(guard, 'exit'), isRunning ? once(server, 'exit') : null]);
    guard.stdin?.end();
    await gone;
  };
  const crash = async () => {
    const exit = once(server, 'exit');
    await rm(pidFile);
    server.kill('SIGKILL');
    await exit;
    return async () => {
      server = await run();
    };
  };
  try {
    await createDatabase(port, password);
    const template = databaseUrl(port, password);
    await migrateDatabase(template, ROOT, features);
    await migrateQueue(template);
    return { url: databaseUrl(port, password, 'postgres'), template: 'stowage', crash, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Below the ephemeral ports of the system, which could hand out the port before its user listens on it. */
const FIRST_PORT = 10_000;
const PORTS = 1_000;
let taken = Math.floor(Math.random() * PORTS);

/** Returns a port on which no process listens, and which no other call returns soon. */
export async function freePort(): Promise<number> {
  const first = FIRST_PORT + (Number(process.env.JEST_WORKER_ID ?? 0) % 10) * PORTS;
  for (;;) {
    const server = createServer().listen(first + (taken++ % PORTS), '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    return port;
  }
}
