import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from './postgres.js';
import { until } from '../../libs/testing/src/until.js';

const isOnPath = (process.env.PATH ?? '').split(path.delimiter).some((folder) => {
  try {
    accessSync(path.join(folder, 'redis-server'), constants.X_OK);
    return true;
  } catch {
    return false;
  }
});

/** Whether suites skip Redis because it is not installed. With `CI=true` they fail instead. */
export const hasNoRedis = !isOnPath && process.env.CI !== 'true';
if (hasNoRedis) process.stdout.write('skipped: the queue on Redis (apt-get install redis-server)\n');

/** Backends of the queue: `describe.each(QUEUE_BACKENDS)('… %s', (_, start) => …)`. */
export const QUEUE_BACKENDS: [name: string, start: () => Promise<QueueBackend>][] = [
  ['PostgreSQL', () => Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve() })],
  ...(hasNoRedis ? [] : [['Redis', () => TestRedis.start()] as [string, () => Promise<QueueBackend>]]),
];

export interface QueueBackend extends AsyncDisposable {
  /** URL of the backend; undefined if the queue is in the database. */
  readonly url?: string;
}

/** A Redis server on a free port and in its own folder, which persists its data and evicts no jobs. */
export class TestRedis implements AsyncDisposable {
  static async start(): Promise<TestRedis> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'stowage-redis-'));
    const redis = new TestRedis(folder, await freePort());
    await redis.run();
    return redis;
  }

  private readonly password = randomBytes(12).toString('hex');
  private server: ChildProcess | undefined;

  private constructor(
    private readonly folder: string,
    private readonly port: number,
  ) {}

  get url(): string {
    return `redis://:${this.password}@127.0.0.1:${this.port}`;
  }

  /** Kills the server with SIGKILL. The returned function starts it again on its port. */
  async crash(): Promise<() => Promise<void>> {
    await this.end('SIGKILL');
    return () => this.run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGTERM');
    await rm(this.folder, { recursive: true });
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { server } = this;
    this.server = undefined;
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const exit = once(server, 'exit');
    server.kill(signal);
    await exit;
  }

  private async run(): Promise<void> {
    const settings = {
      port: this.port,
      bind: '127.0.0.1',
      dir: this.folder,
      requirepass: this.password,
      appendonly: 'yes',
      save: '',
      'maxmemory-policy': 'noeviction',
    };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const server = spawn('redis-server', args, { stdio: 'ignore' });
    // A server that cannot be started never exits.
    await once(server, 'spawn');
    this.server = server;
    await until('Redis answers', () => this.answers());
  }

  private async answers(): Promise<true | null> {
    const client = new Redis(this.url, { lazyConnect: true, retryStrategy: null, connectTimeout: 1_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return (await client.ping()) === 'PONG' ? true : null;
    } catch {
      return null;
    } finally {
      client.disconnect();
    }
  }
}
