import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { StartFailure } from './data-folder.js';
import { ChildLog, logFile, type Terminal } from './logs.js';
import { type Processes, reportWaiting } from './processes.js';

export interface ChildOptions {
  readonly name: string;
  /** The JavaScript file that it runs. */
  readonly entry: string;
  readonly env: NodeJS.ProcessEnv;
  readonly dataFolder: string;
  readonly processes: Processes;
  readonly terminal: Terminal;
}

/**
 * What moves bytes has a small young generation: chunks die young, but a big one is collected so seldom that they pile up. The
 * old generation has a bound: V8 lets the heap grow in proportion to it, by default to several times what is in use.
 */
const LEAN = '--max-semi-space-size=2';
export const NODE_FLAGS: Readonly<Record<string, readonly string[]>> = {
  api: ['--max-semi-space-size=6', '--max-old-space-size=768'],
  worker: [LEAN, '--max-old-space-size=256'],
  emulators: [LEAN],
};

/**
 * For glibc, mallopt(3): a worker asks for 64 KiB and gives them back thousands of times a second, and by default most of that
 * goes to the system and comes from it again, page by page. It keeps up to 32 MiB.
 */
export const MALLOC: Readonly<Record<string, NodeJS.ProcessEnv>> = {
  worker: { MALLOC_TRIM_THRESHOLD_: String(32 * 2 ** 20), MALLOC_TOP_PAD_: String(2 ** 20) },
};

const MIN_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 30_000;
/** One that ran this long has recovered. */
const STEADY_MS = 60_000;

/**
 * A Node.js child that says `{ type: 'ready' }` over its channel when it serves. Once it did, it is started again
 * whenever it ends by itself, after a growing pause.
 */
export class Child {
  private readonly log: ChildLog;
  private backoffMs = MIN_BACKOFF_MS;
  private timer: NodeJS.Timeout | undefined;
  private stopping = false;

  constructor(private readonly options: ChildOptions) {
    const { name, dataFolder, terminal } = options;
    this.log = new ChildLog(name, logFile(dataFolder, name), terminal);
  }

  /** @throws StartFailure with the child's last error when it ends before it is ready */
  async start(): Promise<void> {
    const child = this.spawn();
    await this.ready(child);
    this.keep(child);
  }

  /**
   * Runs one that has an end.
   * @throws StartFailure with its last error when it fails
   */
  async run(): Promise<void> {
    const endReports = reportWaiting(`the end of ${this.options.name}`, this.options.terminal.line);
    const child = this.spawn();
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    endReports();
    if (code !== 0) throw this.failure(`failed (${signal ?? `code ${code}`})`);
  }

  /** From here on it is not started again when it ends. */
  release(): void {
    this.stopping = true;
    clearTimeout(this.timer);
  }

  private spawn(): ChildProcess {
    const { name, entry, env, processes } = this.options;
    const flags = ['--enable-source-maps', ...(NODE_FLAGS[name] ?? [])];
    const child = processes.spawn(name, process.execPath, [...flags, entry], {
      env: { ...MALLOC[name], ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    if (child.stdout && child.stderr) this.log.follow(child.stdout, child.stderr);
    return child;
  }

  private ready(child: ChildProcess): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (what: string) => reject(this.failure(what));
      const { name, terminal } = this.options;
      const endReports = reportWaiting(`the ${name}`, terminal.line);
      child.on('message', (message: { type?: string } | null) => {
        if (message?.type !== 'ready') return;
        endReports();
        resolve();
      });
      // Not 'exit': what it wrote last may still be in the pipe.
      child.once('close', (code, signal) => {
        endReports();
        fail(`ended before it was ready (${signal ?? `code ${code}`})`);
      });
    });
  }

  private failure(what: string): StartFailure {
    const why = this.log.lastError === undefined ? '' : `: ${this.log.lastError}`;
    return new StartFailure(`${this.options.name} ${what}${why} (log: ${this.log.file})`);
  }

  private keep(child: ChildProcess): void {
    const since = Date.now();
    child.once('close', (code, signal) => {
      if (Date.now() - since > STEADY_MS) this.backoffMs = MIN_BACKOFF_MS;
      this.again(this.failure(`ended (${signal ?? `code ${code}`})`));
    });
  }

  private again(failure: unknown): void {
    if (this.stopping) return;
    const what = failure instanceof Error ? failure.message : String(failure);
    this.options.terminal.line(`${what}; starting it again in ${this.backoffMs / 1000} s`);
    this.timer = setTimeout(() => {
      this.start().catch((error: unknown) => this.again(error));
    }, this.backoffMs);
    this.backoffMs = Math.min(this.backoffMs * 2, MAX_BACKOFF_MS);
  }
}
