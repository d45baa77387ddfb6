import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { Queue } from 'bullmq';
import { INSPECT_QUEUE, PROCESS_QUEUE, QueueConfig, TASK_QUEUE } from '#libs/queue';
import { configured } from '#libs/runtime';
import { provision } from '#libs/storage/gcs';
import { NODE_FLAGS } from '../../apps/local/src/child.js';
import { Emulators, NAMES, PROJECT } from '../../libs/testing/src/emulators.js';
import { connectionOf } from '../../libs/queue/src/connection.js';
import { queueBackend } from '../../libs/queue/src/bullmq-patches/index.js';
import { appEnvironment, signJwt } from '../../libs/testing/src/environment.js';
import { createTestDatabase, type TestDatabase } from '../../libs/testing/src/test-database.js';
import { freePort, type TestPostgres } from './postgres.js';
import { LIMIT_MS } from '../../libs/testing/src/until.js';

const ROOT = path.resolve(import.meta.dirname, '../..');

/** One api or worker: the built program in its own process. */
export class Member {
  output = '';

  constructor(
    readonly name: string,
    private readonly child: ChildProcess,
    /** Port on 127.0.0.1. */
    readonly port: number,
  ) {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    }
  }

  get pid(): number {
    return this.child.pid!;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const tooLate = setTimeout(
        () => reject(new Error(`${this.name} is not ready:\n${this.output}`)),
        LIMIT_MS,
      );
      this.child.once('message', () => resolve());
      this.child.once('exit', () => reject(new Error(`${this.name} ended:\n${this.output}`)));
      this.child.once('message', () => clearTimeout(tooLate)).once('exit', () => clearTimeout(tooLate));
    });
  }

  /** Sends a signal, waits for the exit and returns the exit code, or null if the signal ended the process. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (!this.isRunning) return this.child.exitCode;
    const exit = once(this.child, 'exit');
    this.child.kill(signal);
    const [code] = (await exit) as [number | null];
    return code;
  }

  fetch(route: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}${route}`, {
      signal: AbortSignal.timeout(LIMIT_MS),
      ...init,
    });
  }
}

export interface FleetOptions {
  readonly apis?: number;
  readonly workers?: number;
  readonly env?: NodeJS.ProcessEnv;
  /** A server for this suite, instead of the one that all suites share. */
  readonly postgres?: TestPostgres;
  /** Returns the URL that members use for the database, for example that of a proxy. */
  readonly databaseUrl?: (url: string) => string | Promise<string>;
}

/** Any number of apis and workers as processes, over one real PostgreSQL and the emulators. */
export class Fleet implements AsyncDisposable {
  static async start(options: FleetOptions = {}): Promise<Fleet> {
    const { apis = 1, workers = 1, env = {}, postgres, databaseUrl } = options;
    const [database, emulators] = await Promise.all([createTestDatabase(postgres), Emulators.start()]);
    await provision({
      projectId: PROJECT,
      storage: { endpoint: emulators.gcs.url },
      pubsub: { emulator: emulators.pubsubAddress },
      names: NAMES,
    });
    const url = (await databaseUrl?.(database.url)) ?? database.url;
    const fleet = new Fleet(database, emulators, { ...appEnvironment(url, emulators), ...env });
    try {
      await Promise.all([
        ...Array.from({ length: apis }, () => fleet.addApi()),
        ...Array.from({ length: workers }, () => fleet.addWorker()),
      ]);
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
    return fleet;
  }

  readonly apis: Member[] = [];
  readonly workers: Member[] = [];

  private constructor(
    readonly database: TestDatabase,
    readonly emulators: Emulators,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  addApi(env: NodeJS.ProcessEnv = {}): Promise<Member> {
    return this.add('api', this.apis, env);
  }

  addWorker(env: NodeJS.ProcessEnv = {}): Promise<Member> {
    return this.add('worker', this.workers, env);
  }

  private async add(name: 'api' | 'worker', members: Member[], env: NodeJS.ProcessEnv): Promise<Member> {
    const port = await freePort();
    const child = spawn(
      process.execPath,
      [...(NODE_FLAGS[name] ?? []), path.join(ROOT, `dist/apps/${name}/src/main.js`)],
      {
        cwd: ROOT,
        env: {
          PATH: process.env.PATH,
          HOST: '127.0.0.1',
          PORT: String(port),
          WORKER_PORT: String(port),
          ...this.env,
          ...env,
        },
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      },
    );
    const member = new Member(name, child, port);
    members.push(member);
    await member.ready();
    return member;
  }

  /** Runs a GraphQL operation, by default as user 42 at the first api. Throws on errors. */
  async query<Data>(
    query: string,
    variables: object = {},
    subject = '42',
    api = this.apis[0]!,
  ): Promise<Data> {
    const response = await api.fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await signJwt(subject)}` },
      body: JSON.stringify({ query, variables }),
    });
    const answer = (await response.json()) as { data?: Data; errors?: object[] };
    const { data, errors } = answer;
    if (errors !== undefined || data === undefined) throw new Error(JSON.stringify(errors ?? answer));
    return data;
  }

  /** Opens a queue of the workers to inspect it. The caller must close it. */
  openQueue(name: string) {
    const connection = connectionOf(this.database, configured(QueueConfig, { redisUrl: this.env.REDIS_URL }));
    const queue = new Queue(name, { connection }, queueBackend);
    queue.on('error', () => undefined);
    return queue;
  }

  /** Ids of all jobs, whatever their state. */
  async jobs(): Promise<string[]> {
    const inEach = [PROCESS_QUEUE, INSPECT_QUEUE, TASK_QUEUE].map(async (name) => {
      const queue = this.openQueue(name);
      try {
        const jobs = await queue.getJobs([
          'waiting',
          'prioritized',
          'active',
          'delayed',
          'completed',
          'failed',
        ]);
        return jobs.map(({ id = '' }) => id);
      } finally {
        await queue.close();
      }
    });
    return (await Promise.all(inEach)).flat();
  }

  /** Output of all members. */
  get logs(): string {
    return [...this.apis, ...this.workers].map(({ output }) => output).join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.apis, ...this.workers].map((member) => member.end()));
    await this.emulators[Symbol.asyncDispose]();
    await this.database.drop();
  }
}
