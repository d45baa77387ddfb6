import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, readdir, readFile, realpath, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { SignJWT } from 'jose';
import { LIMIT_MS, until } from '../../libs/testing/src/until.js';

const ROOT = path.resolve(import.meta.dirname, '../..');

/** Returns the first of six consecutive free ports. */
async function freePorts(): Promise<number> {
  for (;;) {
    const first = 30_000 + Math.floor(Math.random() * 2_000);
    // The last port is for the server of examples/web.
    const servers = [0, 1, 2, 3, 4, 5].map((offset) => createServer().listen(first + offset, '127.0.0.1'));
    const outcomes = await Promise.allSettled(servers.map((server) => once(server, 'listening')));
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    if (outcomes.every(({ status }) => status === 'fulfilled')) return first;
  }
}

export interface Answer<Data> {
  readonly data?: Data;
  readonly errors?: {
    readonly message: string;
    readonly extensions: { readonly code: string; readonly reason?: string; readonly path?: string[] };
  }[];
}

export interface Ticket {
  readonly httpMethod: string;
  readonly url: string;
  readonly headers: { readonly name: string; readonly value: string }[];
}

/** The built service as `npm start` runs it, in its own folder and on its own ports, used through its public interfaces. */
export class Stack implements AsyncDisposable {
  static async make(env: NodeJS.ProcessEnv = {}): Promise<Stack> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'stowage-e2e-'));
    // As root, PostgreSQL runs as another user, who needs to enter the folder.
    await chmod(folder, 0o711);
    return new Stack(folder, await freePorts(), env);
  }

  private child: ChildProcess | undefined;
  output = '';

  private constructor(
    readonly folder: string,
    readonly port: number,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}/graphql`;
  }

  /** Starts the stack and waits until it prints that it is ready. */
  async start(): Promise<void> {
    this.output = '';
    const child = spawn(process.execPath, [path.join(ROOT, 'dist/apps/local/src/main.js')], {
      cwd: ROOT,
      env: { ...process.env, NODE_OPTIONS: '', DATA_DIR: this.folder, PORT: String(this.port), ...this.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    }
    await until('the stack is ready', () => {
      if (child.exitCode !== null) throw new Error(`The stack ended:\n${this.output}`);
      return this.output.includes(`ready ${this.url}\n`) ? true : null;
    });
  }

  /** Sends a signal (Ctrl-C by default), waits for the exit and returns the exit code. */
  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
    const { child } = this;
    if (child === undefined || child.exitCode !== null) return child?.exitCode ?? null;
    const exit = once(child, 'exit');
    child.kill(signal);
    const [code] = (await exit) as [number | null];
    return code;
  }

  pid(name: string): number {
    const entries = JSON.parse(readFileSync(path.join(this.folder, 'run.json'), 'utf8')) as {
      name: string;
      pid: number;
    }[];
    const entry = entries.find((candidate) => candidate.name === name);
    if (entry === undefined) throw new Error(`${name} is not running`);
    return entry.pid;
  }

  /** Kills every process of the stack at once. */
  async killAll(): Promise<void> {
    const names = ['supervisor', 'api', 'worker', 'emulators', 'postgres'];
    const pids = names.map((name) => this.pid(name));
    const exit = this.child === undefined ? null : once(this.child, 'exit');
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    await exit;
  }

  /** Peak resident memory of a process in bytes. */
  peakMemory(name: string): number {
    const status = readFileSync(`/proc/${this.pid(name)}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  }

  async token(
    sub: string,
    claims: Record<string, unknown> = {},
    expires = '1h',
    secret?: string,
  ): Promise<string> {
    const secrets = JSON.parse(await readFile(path.join(this.folder, 'secrets.json'), 'utf8')) as {
      jwtSecret: string;
    };
    return new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuer('stowage-local')
      .setAudience('stowage-local')
      .setSubject(sub)
      .setIssuedAt()
      .setExpirationTime(expires)
      .sign(new TextEncoder().encode(secret ?? secrets.jwtSecret));
  }

  async query<Data>(token: string | null, query: string, variables: object = {}): Promise<Answer<Data>> {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    return (await response.json()) as Answer<Data>;
  }

  /** Contents of all log files of the stack. */
  async logs(): Promise<string> {
    const folder = path.join(this.folder, 'logs');
    const files = await readdir(folder);
    const texts = await Promise.all(files.map((file) => readFile(path.join(folder, file), 'utf8')));
    return texts.join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    // As root, the cluster may lie outside the folder, behind a symbolic link.
    const cluster = await realpath(path.join(this.folder, 'postgres')).catch(() => this.folder);
    await rm(cluster, { recursive: true, force: true });
    await rm(this.folder, { recursive: true, force: true });
  }
}

export const headersOf = (ticket: Ticket): Record<string, string> =>
  Object.fromEntries(ticket.headers.map(({ name, value }) => [name, value]));

/** Sends bytes with the URL and headers of a ticket, optionally changed, and returns the HTTP status. */
export async function put(
  ticket: Ticket,
  body: Buffer | string,
  change: { url?: string; headers?: Record<string, string> } = {},
): Promise<number> {
  const response = await fetch(change.url ?? ticket.url, {
    method: ticket.httpMethod,
    headers: change.headers ?? headersOf(ticket),
    body: Buffer.from(body),
    signal: AbortSignal.timeout(LIMIT_MS),
  });
  await response.arrayBuffer();
  return response.status;
}
