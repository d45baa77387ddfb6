import type { ChildProcess } from 'node:child_process';
import { StartFailure } from './data-folder.js';
import { ChildLog, logFile, type Terminal } from './logs.js';
import { endOf, type Processes, reportWaiting, SUCCESS } from './processes.js';

interface ChildOptions {
  readonly name: string;
  /** JavaScript file to run. */
  readonly entry: string;
  readonly env: NodeJS.ProcessEnv;
  readonly dataFolder: string;
  readonly processes: Processes;
  readonly terminal: Terminal;
}

/**
 * Processes that transfer bytes get a small young generation: chunks die young, and a large generation is collected so
 * rarely that they pile up. The old generation is bounded, because V8's default lets the heap grow to several times its
 * live size.
 */
const SMALL_YOUNG_GENERATION = '--max-semi-space-size=2';
export const NODE_FLAGS: Readonly<Record<string, readonly string[]>> = {
  api: ['--max-semi-space-size=6', '--max-old-space-size=768'],
  worker: [SMALL_YOUNG_GENERATION, '--max-old-space-size=256'],
  emulators: [SMALL_YOUNG_GENERATION],
};

/**
 * Settings of glibc, mallopt(3). A worker allocates and frees 64 KiB thousands of times a second. By default most of
 * that memory is returned to the kernel and faulted in again page by page; with these settings glibc keeps up to 32 MiB.
 */
export const MALLOC: Readonly<Record<string, NodeJS.ProcessEnv>> = {
  worker: { MALLOC_TRIM_THRESHOLD_: String(32 * 2 ** 20), MALLOC_TOP_PAD_: String(2 ** 20) },
};

const MIN_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 30_000;
/** Run time after which the backoff of restarts is reset. */
const RESET_BACKOFF_MS = 60_000;

/**
 * A Node.js child that sends `{ type: 'ready' }` over its IPC channel when it is ready. A child that was ready once is
 * restarted with backoff whenever it ends by itself.
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

  /** @throws StartFailure with the child's last error if it ends before it is ready */
  async start(): Promise<void> {
    const child = this.spawn();
    const ended = endOf(child);
    const ready = new Promise<void>((resolve) => {
      child.on('message', (message: { type?: string } | null) => {
        if (message?.type === 'ready') resolve();
      });
    });
    const { name, terminal } = this.options;
    const end = await reportWaiting(`the ${name}`, Promise.race([ready, ended]), terminal.line);
    if (end !== undefined) throw this.failure(`ended before it was ready (${end})`);
    const since = Date.now();
    void ended.then((laterEnd) => {
      if (Date.now() - since > RESET_BACKOFF_MS) this.backoffMs = MIN_BACKOFF_MS;
      this.restart(this.failure(`ended (${laterEnd})`));
    });
  }

  /**
   * Runs a child that ends by itself, such as a migration.
   * @throws StartFailure with the child's last error if it fails
   */
  async run(): Promise<void> {
    const { name, terminal } = this.options;
    const end = await reportWaiting(`the end of ${name}`, endOf(this.spawn()), terminal.line);
    if (end !== SUCCESS) throw this.failure(`failed (${end})`);
  }

  /** Stops restarting the child. */
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

  private failure(problem: string): StartFailure {
    const reason = this.log.lastError === undefined ? '' : `: ${this.log.lastError}`;
    return new StartFailure(`${this.options.name} ${problem}${reason} (log: ${this.log.file})`);
  }

  private restart(failure: Error): void {
    if (this.stopping) return;
    this.options.terminal.line(`${failure.message}; starting it again in ${this.backoffMs / 1000} s`);
    this.timer = setTimeout(() => {
      this.start().catch((error: Error) => this.restart(error));
    }, this.backoffMs);
    this.backoffMs = Math.min(this.backoffMs * 2, MAX_BACKOFF_MS);
  }
}
