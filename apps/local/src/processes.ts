import { type ChildProcess, spawn, type SpawnOptions, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { StartFailure } from './data-folder.js';

/** A process that was started. The start time distinguishes it from a later process with the same id. */
interface Entry {
  readonly name: string;
  readonly pid: number;
  readonly started: string;
}

/** The signals that stop a process: the second one ends it at once. */
const STOP = { signal: 'SIGTERM', force: 'SIGKILL' } as const;
/**
 * Fast shutdown, then immediate shutdown. SIGKILL would leave the server's child processes running.
 * https://www.postgresql.org/docs/current/server-shutdown.html
 */
const STOP_POSTGRES = { signal: 'SIGINT', force: 'SIGQUIT' } as const;
const signalsOf = ({ name }: Entry) => (name === 'postgres' ? STOP_POSTGRES : STOP);
/** Time between the two signals. */
const GRACE_MS = 10_000;
/** Time for the end of a process after its force signal. */
const FORCE_MS = 5_000;

/** Dependent processes before their dependencies. */
const STOP_ORDER = ['migrate', 'initdb', 'api', 'worker', 'emulators', 'postgres'];

/**
 * The processes of one data folder, recorded in its `run.json` when they start, so that the next start can stop what a
 * killed supervisor left running. One supervisor at a time holds the lock file, and the kernel releases the lock even
 * if its holder crashes.
 */
export class Processes {
  private readonly file: string;
  private readonly lock: DatabaseSync;
  private readonly entries = new Map<string, Entry>();
  private closed = false;

  /** @throws StartFailure if another supervisor runs in this data folder */
  constructor(folder: string) {
    this.file = path.join(folder, 'run.json');
    this.lock = lockOf(path.join(folder, 'run.lock'), () => {
      const pid = entriesIn(this.file).find(({ name }) => name === 'supervisor')?.pid;
      return `Stowage is already running in ${folder}${pid === undefined ? '' : ` (pid ${pid})`}`;
    });
  }

  /** Stops the processes that an earlier supervisor left running and returns their names. Then records this process. */
  async takeOver(): Promise<string[]> {
    const left = entriesIn(this.file)
      .filter((entry) => entry.name !== 'supervisor' && isAlive(entry))
      .sort((a, b) => STOP_ORDER.indexOf(a.name) - STOP_ORDER.indexOf(b.name));
    for (const entry of left) await end(entry);
    this.record('supervisor', process.pid);
    return left.map(({ name }) => name);
  }

  /**
   * Starts a process in its own process group, so that Ctrl-C in a terminal reaches the supervisor only.
   * @throws StartFailure if the program cannot be run, or if the stack is being stopped
   */
  spawn(name: string, command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
    if (this.closed) throw new StartFailure('Stopped before it was ready');
    const child = spawn(command, args, { ...options, detached: true });
    if (child.pid === undefined) {
      child.once('error', () => undefined);
      throw new StartFailure(
        `${command} cannot be run on this machine (${process.platform} ${process.arch})`,
      );
    }
    const entry = this.record(name, child.pid);
    child.once('exit', () => {
      if (this.entries.get(name) !== entry) return;
      this.entries.delete(name);
      this.write();
    });
    return child;
  }

  /** Stops the processes one after the other, dependents first, and forces those that exceed their grace period. */
  async stopAll(): Promise<void> {
    this.closed = true;
    for (const name of STOP_ORDER) {
      const entry = this.entries.get(name);
      if (entry) await end(entry);
    }
  }

  /** Ends all processes at once by their force signals, without a grace period. */
  force(): void {
    this.closed = true;
    for (const entry of this.entries.values()) {
      if (entry.pid !== process.pid) send(entry.pid, signalsOf(entry).force);
    }
  }

  /** Releases the data folder. No recorded process may be running. */
  release(): void {
    this.entries.clear();
    this.write();
    this.lock.close();
  }

  private record(name: string, pid: number): Entry {
    const entry = { name, pid, started: startOf(pid) ?? '' };
    this.entries.set(name, entry);
    this.write();
    return entry;
  }

  private write(): void {
    const draft = `${this.file}.new`;
    try {
      writeFileSync(draft, JSON.stringify([...this.entries.values()], null, 2) + '\n');
      renameSync(draft, this.file);
    } catch {
      // A full disk must not prevent stopping. A stale entry matches no live process. A process without an entry ends
      // when its channel closes; PostgreSQL is found by its own pid file.
    }
  }
}

function lockOf(file: string, held: () => string): DatabaseSync {
  const lock = new DatabaseSync(file, { timeout: 0 });
  try {
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock.close();
    if (error instanceof Error && /locked/.test(error.message)) throw new StartFailure(held());
    throw new StartFailure(`${file} is damaged; remove it`);
  }
}

/** The entries of a record file; empty if the file is missing, incomplete or not an array. */
function entriesIn(file: string): Entry[] {
  try {
    const found = JSON.parse(readFileSync(file, 'utf8')) as Entry[];
    return found.filter(({ pid }) => Number.isInteger(pid));
  } catch {
    return [];
  }
}

/** Start time of a process in the format of the operating system; null if there is no such process. */
function startOf(pid: number): string | null {
  if (process.platform !== 'linux') {
    const ps = spawnSync('ps', ['-o', 'lstart=,state=', '-p', String(pid)], { encoding: 'utf8' });
    const [, started, state] = /^\s*(.+?)\s+(\S+)\s*$/.exec(ps.stdout) ?? [];
    return started === undefined || state?.startsWith('Z') ? null : started;
  }
  try {
    // The process name, in parentheses, may contain any character. State is field 3, number of threads 20, start time 22
    // (proc_pid_stat(5)). A dead main thread does not free the ports while other threads are still ending.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const isGone = fields[0] === 'X' || (fields[0] === 'Z' && Number(fields[17]) <= 1);
    return isGone ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

const isAlive = (entry: Entry) => startOf(entry.pid) === entry.started;

async function end(entry: Entry): Promise<void> {
  const { signal, force } = signalsOf(entry);
  const gone = () => !isAlive(entry);
  send(entry.pid, signal);
  if (await until(gone, GRACE_MS)) return;
  send(entry.pid, force);
  if (await until(gone, FORCE_MS)) return;
  send(entry.pid, 'SIGKILL');
  await until(gone, FORCE_MS);
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // The process has already ended.
  }
}

/** The end of a process that succeeded, see {@link endOf}. */
export const SUCCESS = 'code 0';

/** How a process ended: its signal or its exit code. Waits for 'close', since output may still be in the pipe at 'exit'. */
export async function endOf(child: ChildProcess): Promise<string> {
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return signal ?? `code ${code}`;
}

const INTERVAL_MS = 20;

/** Waits until `condition` holds. False if it does not within `limitMs`. */
export async function until(condition: () => boolean, limitMs = Infinity): Promise<boolean> {
  for (const end = Date.now() + limitMs; !condition();) {
    if (Date.now() >= end) return false;
    await delay(INTERVAL_MS);
  }
  return true;
}

const REPORT_MS = 10_000;

/**
 * Waits for a part of the start, and prints every ten seconds what it waits for. A start has no time limit, since on a
 * busy machine it takes minutes.
 */
export async function reportWaiting<T>(
  what: string,
  awaited: Promise<T>,
  line: (text: string) => void = () => undefined,
): Promise<T> {
  const started = performance.now();
  const seconds = () => Math.round((performance.now() - started) / 1000);
  const timer = setInterval(() => line(`Waiting for ${what} (${seconds()} s) …`), REPORT_MS);
  try {
    return await awaited;
  } finally {
    clearInterval(timer);
  }
}
