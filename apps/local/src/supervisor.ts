import { createServer } from 'node:net';
import { once } from 'node:events';
import { Child } from './child.js';
import { childEnvironment, type Config, PORT_PURPOSE, type Ports } from './config.js';
import { openDataFolder, readSecrets, type Secrets, StartFailure } from './data-folder.js';
import { keepLogBounded, logFile, type Terminal } from './logs.js';
import { postgresHome } from './postgres/home.js';
import { createDatabase, type PostgresOptions, startPostgres } from './postgres/server.js';
import { Processes } from './processes.js';
import { signToken } from './token.js';

/** Entry files of the child processes. */
export type Entries = Readonly<Record<'migrate' | 'emulators' | 'api' | 'worker', string>>;

/** Subject of the user's token. */
const USER = '1';

/** The running stack. */
export interface Running {
  readonly dataFolder: string;
  readonly secrets: Secrets;
  /** Token of a user, which the playground contains too. */
  readonly userToken: string;
}

/**
 * Starts and stops the processes of the embedded stack as children of this process: PostgreSQL and the emulators in
 * parallel, then api and worker. A child that ends by itself is restarted.
 */
export class Supervisor {
  private processes: Processes | undefined;
  private children: Child[] = [];
  private stopping = false;

  constructor(
    private readonly config: Config,
    private readonly entries: Entries,
    private readonly terminal: Terminal,
    /** Called if PostgreSQL ended and cannot be restarted. */
    private readonly onFatal: (error: unknown) => void,
  ) {}

  /** @throws StartFailure in one sentence. Processes that were started before the failure run until `stop`. */
  async start(): Promise<Running> {
    const { terminal } = this;
    const dataFolder = await openDataFolder(this.config.dataFolder);
    const secrets = await readSecrets(dataFolder);
    const processes = (this.processes = new Processes(dataFolder));
    const left = await processes.takeOver();
    if (left.length > 0) terminal.line(`Stopped processes of an earlier run: ${left.join(', ')}`);
    await assertFree(this.config.ports, this.config.pubSubHost !== undefined);

    const userToken = await signToken(secrets.jwtSecret, { subject: USER });
    const env = childEnvironment({ ...this.config, dataFolder }, secrets, process.env, userToken);
    const child = (name: keyof Entries) =>
      new Child({ name, entry: this.entries[name], env, dataFolder, processes, terminal });
    const [emulators, api, worker] = [child('emulators'), child('api'), child('worker')];
    this.children = [api, worker, emulators];
    await all([
      emulators.start(),
      this.startDatabase(dataFolder, secrets, processes).then(() => child('migrate').run()),
    ]);
    await all([api.start(), worker.start()]);
    return { dataFolder, secrets, userToken };
  }

  /** Stops api, worker, emulators and PostgreSQL in this order, each with a grace period. */
  async stop(): Promise<void> {
    this.stopping = true;
    for (const child of this.children) child.release();
    await this.processes?.stopAll();
    this.processes?.release();
    this.processes = undefined;
  }

  /** Ends all processes at once by their force signals, without a grace period. */
  force(): void {
    this.processes?.force();
  }

  private async startDatabase(dataFolder: string, secrets: Secrets, processes: Processes): Promise<void> {
    const home = await postgresHome(dataFolder);
    if (home.note !== undefined) this.terminal.line(home.note);
    const port = this.config.ports.postgres;
    const log = logFile(dataFolder, 'postgres');
    keepLogBounded(log);
    await this.supervisePostgres({
      home,
      port,
      password: secrets.postgresPassword,
      logFile: log,
      report: this.terminal.line,
      spawn: processes.spawn.bind(processes),
    });
    await createDatabase(port, secrets.postgresPassword, this.terminal.line);
  }

  private async supervisePostgres(options: PostgresOptions): Promise<void> {
    const server = await startPostgres(options);
    server.once('exit', (code, signal) => {
      if (this.stopping) return;
      this.terminal.line(
        `PostgreSQL ended (${signal ?? `code ${code}`}); starting it again (log: ${options.logFile})`,
      );
      this.supervisePostgres(options).catch((error: unknown) => this.stopping || this.onFatal(error));
    });
  }
}

/** Waits for all starts even if one fails, so that no start is still in progress while the failure is handled. */
async function all(starts: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(starts);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

async function assertFree(ports: Ports, hasOwnPubSub: boolean): Promise<void> {
  for (const [name, port] of Object.entries(ports) as [keyof Ports, number][]) {
    if (name === 'pubSub' && hasOwnPubSub) continue;
    const server = createServer();
    try {
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const problem = code === 'EADDRINUSE' ? 'is in use' : `cannot be used (${code})`;
      throw new StartFailure(
        `Port ${port}, which ${PORT_PURPOSE[name]} needs, ${problem}; choose other ports with PORT=… (uses this port and the next four)`,
      );
    } finally {
      server.close();
    }
  }
}
