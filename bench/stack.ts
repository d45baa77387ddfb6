import { type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { chmod, mkdir, realpath, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import pg from 'pg';
import { built } from './built.ts';
import { messageOf } from './child.ts';
import { needsProc, PeakMemory } from './process-usage.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const FOLDER = path.join(ROOT, '.local/bench');

const STOP_MS = 15_000;

type Processes = import('../apps/local/src/processes.ts').Processes;
type Secrets = import('../apps/local/src/data-folder.ts').Secrets;
type Program = 'api' | 'worker' | 'emulators';

const ENTRIES: Readonly<Record<Program, string>> = {
  api: 'dist/apps/api/src/main.js',
  worker: 'dist/apps/worker/src/main.js',
  emulators: 'dist/apps/local/src/emulators.js',
};

/** The rate limit counts and quotas are checked, but neither refuses anything. No scanner is required unless a measurement starts one. */
const UNLIMITED = {
  RATE_LIMIT_PER_MINUTE: '1000000000',
  QUOTA_BYTES: '8000 TiB',
  QUOTA_ASSETS: String(2 ** 31 - 1),
  SCANNER_REQUIRED: 'false',
};

/**
 * The measured system: PostgreSQL with durable settings, the emulators and the api, each in its own process as in
 * production, in `.local/bench`. Workers run only during {@link withWorker}.
 */
export class Stack implements AsyncDisposable {
  static async start(): Promise<Stack> {
    const { Processes } =
      await built<typeof import('../apps/local/src/processes.ts')>('apps/local/src/processes');
    const { readSecrets } = await built<typeof import('../apps/local/src/data-folder.ts')>(
      'apps/local/src/data-folder',
    );
    const { childEnvironment } =
      await built<typeof import('../apps/local/src/config.ts')>('apps/local/src/config');
    await mkdir(FOLDER, { recursive: true });
    // As root, PostgreSQL runs as another user, who needs to enter the folder.
    await chmod(FOLDER, 0o711);
    const processes = new Processes(FOLDER);
    try {
      // Ends the processes that a killed run has left.
      await processes.takeOver();
      const secrets = await readSecrets(FOLDER);
      const [api, gcs, pubSub, postgres, worker] = await freePorts();
      const ports = { api, gcs, pubSub, postgres, worker };
      const config = { dataFolder: FOLDER, verbose: false, ports, pubSubHost: undefined };
      const env = childEnvironment(config, secrets, {
        ...process.env,
        ...UNLIMITED,
        SPOOL_DIR: path.join(FOLDER, 'spool'),
        NODE_ENV: 'production',
      });
      const stack = new Stack(processes, secrets, env);
      await Promise.all([stack.startDatabase(postgres), stack.spawn('emulators')]);
      stack.api = await stack.spawn('api');
      return stack;
    } catch (error) {
      await stop(processes);
      throw error;
    }
  }

  readonly secrets: Secrets;
  readonly env: NodeJS.ProcessEnv;
  readonly folder = FOLDER;
  /** Peak memory of all workers of the run. */
  readonly workerMemory = new PeakMemory();
  api!: ChildProcess;
  private pool: pg.Pool | undefined;
  private readonly programs = new Set<ChildProcess>();
  private readonly processes: Processes;

  private constructor(processes: Processes, secrets: Secrets, env: NodeJS.ProcessEnv) {
    this.processes = processes;
    this.secrets = secrets;
    this.env = env;
  }

  get apiOrigin(): string {
    return `http://127.0.0.1:${this.env.PORT}`;
  }

  get storageOrigin(): string {
    return this.env.GCS_API_ENDPOINT ?? '';
  }

  /** Runs `work` with the process id of a running worker. @param env added to the environment of the stack */
  async withWorker<T>(work: (pid: number) => Promise<T>, env: NodeJS.ProcessEnv = {}): Promise<T> {
    const worker = await this.spawn('worker', env);
    const watch = needsProc() === null ? this.workerMemory.watch(worker.pid!) : null;
    try {
      return await work(worker.pid!);
    } finally {
      watch?.[Symbol.dispose]();
      await end(worker);
    }
  }

  /** Runs `work` while another program runs. The program's output goes to a log file. */
  async withProgram<T>(
    name: string,
    args: readonly string[],
    work: (program: ChildProcess) => Promise<T>,
  ): Promise<T> {
    const log = openSync(path.join(FOLDER, `${name}.log`), 'a');
    const program = this.processes.spawn(name, name, args, { stdio: ['ignore', log, log] });
    closeSync(log);
    this.programs.add(program);
    try {
      return await work(program);
    } finally {
      this.programs.delete(program);
      await end(program);
    }
  }

  async query<Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<Row[]> {
    this.pool ??= new pg.Pool({ connectionString: this.env.DATABASE_URL, max: 1, query_timeout: 600_000 });
    return (await this.pool.query<Row>(sql, values)).rows;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool?.end();
    // Programs of an interrupted measurement.
    await Promise.all([...this.programs].map(end));
    await stop(this.processes);
  }

  private async startDatabase(port: number): Promise<void> {
    const { postgresHome } = await built<typeof import('../apps/local/src/postgres/home.ts')>(
      'apps/local/src/postgres/home',
    );
    const { startPostgres, createDatabase } = await built<
      typeof import('../apps/local/src/postgres/server.ts')
    >('apps/local/src/postgres/server');
    const { migrateDatabase } =
      await built<typeof import('../libs/database/src/migrate.ts')>('libs/database/src/migrate');
    const { migrateQueue } =
      await built<typeof import('../libs/queue/src/migrate.ts')>('libs/queue/src/migrate');
    const password = this.secrets.postgresPassword;
    await startPostgres({
      home: await postgresHome(FOLDER),
      port,
      password,
      logFile: path.join(FOLDER, 'postgres.log'),
      spawn: this.processes.spawn.bind(this.processes),
    });
    await createDatabase(port, password);
    const url = this.env.DATABASE_URL ?? '';
    await migrateDatabase(url, ROOT);
    await migrateQueue(url);
  }

  /** Starts a program and waits until it serves. Its logs go to a file, as in production. */
  private async spawn(program: Program, env: NodeJS.ProcessEnv = {}): Promise<ChildProcess> {
    const log = openSync(path.join(FOLDER, `${program}.log`), 'a');
    try {
      const { MALLOC, NODE_FLAGS } =
        await built<typeof import('../apps/local/src/child.ts')>('apps/local/src/child');
      const args = [...(NODE_FLAGS[program] ?? []), path.join(ROOT, ENTRIES[program])];
      const child = this.processes.spawn(program, process.execPath, args, {
        cwd: ROOT,
        env: { ...MALLOC[program], ...this.env, ...env },
        stdio: ['ignore', log, log, 'ipc'],
      });
      await messageOf(child);
      return child;
    } finally {
      closeSync(log);
    }
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  // clamd finishes its current scan first.
  const force = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await exit;
  clearTimeout(force);
}

async function stop(processes: Processes): Promise<void> {
  await processes.stopAll();
  processes.release();
  await removeFolder();
}

/** Removes the folder and the database, which lies elsewhere if PostgreSQL's user cannot enter the folder. */
async function removeFolder(): Promise<void> {
  const database = await realpath(path.join(FOLDER, 'postgres')).catch(() => null);
  for (const folder of [database, FOLDER]) {
    if (folder !== null) await rm(folder, { recursive: true, force: true });
  }
}

async function freePorts(): Promise<[number, number, number, number, number]> {
  const servers = Array.from({ length: 5 }, () => createServer().listen(0, '127.0.0.1'));
  const ports = await Promise.all(
    servers.map(async (server) => {
      await once(server, 'listening');
      return (server.address() as AddressInfo).port;
    }),
  );
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports as [number, number, number, number, number];
}
