import { type ChildProcess, spawn, type SpawnOptions, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { LIMIT_MS } from '../../../libs/testing/src/until.js';

const FIXTURES = path.join(import.meta.dirname, 'fixtures');
const TS_RESOLVE = path.resolve(import.meta.dirname, '../../support/ts-resolve.mjs');

/** Finds five consecutive free ports and returns the first of them. */
async function freePorts(): Promise<number> {
  for (;;) {
    const first = 20_000 + Math.floor(Math.random() * 10_000);
    const servers = [0, 1, 2, 3, 4].map((offset) => createServer().listen(first + offset, '127.0.0.1'));
    const outcomes = await Promise.allSettled(servers.map((server) => once(server, 'listening')));
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    if (outcomes.every(({ status }) => status === 'fulfilled')) return first;
  }
}

/** Polls until the condition holds, because it depends on other processes. Throws after `LIMIT_MS`. */
export async function eventually(condition: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + LIMIT_MS; !condition(); await delay(20)) {
    if (Date.now() > end) throw new Error(`timed out waiting: ${what}`);
  }
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie process has ended, although its parent has not reaped it.
    return !(process.platform === 'linux' && / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')));
  } catch {
    return false;
  }
}

/** A data folder with its own ports, in which the supervisor is started repeatedly. */
export class Site {
  readonly runs: Run[] = [];

  private constructor(
    readonly folder: string,
    readonly data: string,
    readonly port: number,
  ) {}

  /** Creates a site. `data` is a data folder of an earlier run, which is copied. */
  static async make(data?: string): Promise<Site> {
    const folder = await realpath(await mkdtemp(path.join(os.tmpdir(), 'stowage-local-')));
    await chmod(folder, 0o777);
    const children = path.join(folder, 'children');
    await mkdir(children);
    for (const name of ['api', 'worker', 'emulators']) {
      await writeFile(path.join(children, `${name}.mjs`), `import '${path.join(FIXTURES, 'child.mjs')}';\n`);
    }
    await writeFile(path.join(children, 'migrate.mjs'), '');
    // cp of Node.js does not keep owners.
    if (data !== undefined) spawnSync('cp', ['-a', data, path.join(folder, 'data')]);
    return new Site(folder, path.join(folder, 'data'), await freePorts());
  }

  get cluster(): string {
    return path.join(this.data, 'postgres/data');
  }

  /** Starts the supervisor as a user would; `env` and `options` are added. */
  start(env: NodeJS.ProcessEnv = {}, options: SpawnOptions = {}): Run {
    const flags = [
      '--experimental-transform-types',
      '--disable-warning=ExperimentalWarning',
      '--import',
      TS_RESOLVE,
    ];
    const child = spawn(process.execPath, [...flags, path.join(FIXTURES, 'supervisor.ts')], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: {
        ...process.env,
        NODE_OPTIONS: '',
        CHILDREN: path.join(this.folder, 'children'),
        DATA_DIR: this.data,
        PORT: String(this.port),
        ...env,
      },
      ...options,
    });
    const run = new Run(child);
    this.runs.push(run);
    return run;
  }

  /** The events that the children recorded, in order. */
  events(): string[] {
    const file = path.join(this.data, 'events');
    return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
  }

  /** Process ids by name, as recorded. */
  pids(): Record<string, number> {
    const entries = JSON.parse(readFileSync(path.join(this.data, 'run.json'), 'utf8')) as {
      name: string;
      pid: number;
    }[];
    return Object.fromEntries(entries.map(({ name, pid }) => [name, pid]));
  }

  /** Ends all running processes and deletes the recorded events. */
  async reset(): Promise<void> {
    for (const run of this.runs.splice(0)) await run.stop();
    const left = existsSync(path.join(this.data, 'run.json')) ? Object.values(this.pids()) : [];
    for (const pid of left) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    await rm(path.join(this.data, 'events'), { force: true });
  }

  async remove(): Promise<void> {
    await this.reset();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** One run of the supervisor. */
export class Run {
  stdout = '';
  stderr = '';
  readonly ended: Promise<number | null>;

  constructor(readonly child: ChildProcess) {
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    // 'close' is not emitted once this side has disconnected, so this waits for 'exit'.
    this.ended = once(child, 'exit').then(([code]) => code as number | null);
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  async ready(): Promise<this> {
    await eventually(() => this.hasEnded || /^ready http/m.test(this.stdout), 'the stack is ready');
    if (this.hasEnded) throw new Error(`the supervisor ended before it was ready: ${this.stderr}`);
    return this;
  }

  /** Sends a signal and returns the exit code; null if the signal killed the process. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (!this.hasEnded) this.child.kill(signal);
    return this.ended;
  }

  /** Waits for the end of a failing run; returns its exit code and the lines of its stderr. */
  async failure(): Promise<{ code: number | null; lines: string[] }> {
    const [code] = (await once(this.child, 'close')) as [number | null];
    return { code, lines: this.stderr.split('\n').filter((line) => line !== '') };
  }
}
