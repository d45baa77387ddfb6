import { type ChildProcess, spawn, type SpawnOptions, spawnSync } from 'node:child_process';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { StartFailure } from './data-folder.js';

/** A process that was started: its id together with when it started, since ids are used again. */
interface Entry {
  readonly name: string;
  readonly pid: number;
  readonly started: string;
}

/** How a process is asked to stop, how it is forced, and how long it has in between. */
export interface StopOptions {
  readonly signal: NodeJS.Signals;
  readonly force: NodeJS.Signals;
  readonly graceMs: number;
}

const GENTLE: StopOptions = { signal: 'SIGTERM', force: 'SIGKILL', graceMs: 10_000 };
/**
 * Fast, then immediate shutdown. SIGKILL would leave its children behind.
 * https://www.postgresql.org/docs/current/server-shutdown.html
 */
const POSTGRES: StopOptions = { signal: 'SIGINT', force: 'SIGQUIT', graceMs: 10_000 };
const STOP: Record<string, StopOptions> = { postgres: POSTGRES };

/** Dependents before what they depend on. */
const STOP_ORDER = ['migrate', 'initdb', 'api', 'worker', 'emulators', 'postgres'];

/**
 * The processes of one data folder, on record in its `run.json` from the moment they start, so that the next start can
 * stop what a killed one left behind. Only one supervisor at a time holds the record: a lock that the kernel gives back
 * whatever becomes of its holder.
 */
export class Processes {
  private readonly file: string;
  private readonly lock: DatabaseSync;
  private readonly entries = new Map<string, Entry>();
  private readonly running = new Map<string, ChildProcess>();
  private closed = false;

  /** @throws StartFailure when another supervisor runs in this data folder */
  constructor(folder: string) {
    this.file = path.join(folder, 'run.json');
    this.lock = lockOf(path.join(folder, 'run.lock'), () => {
      const pid = entriesIn(this.file).find(({ name }) => name === 'supervisor')?.pid;
      return `Stowage is already running in ${folder}${pid === undefined ? '' : ` (pid ${pid})`}`;
    });
  }

  /** Stops what an earlier supervisor left running; answers with the names. Then this process is on record. */
  async takeOver(): Promise<string[]> {
    const left = entriesIn(this.file)
      .filter((entry) => entry.name !== 'supervisor' && isAlive(entry))
      .sort((a, b) => STOP_ORDER.indexOf(a.name) - STOP_ORDER.indexOf(b.name));
    for (const entry of left) await end(entry, STOP[entry.name] ?? GENTLE);
    this.record({ name: 'supervisor', pid: process.pid, started: startOf(process.pid) ?? '' });
    return left.map(({ name }) => name);
  }

  /**
   * Starts a process in a group of its own, so that Ctrl-C in a terminal reaches the supervisor alone.
   * @throws StartFailure when the program cannot be run, or everything is being stopped
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
    this.running.set(name, child);
    this.record({ name, pid: child.pid, started: startOf(child.pid) ?? '' });
    child.once('exit', () => {
      if (this.running.get(name) !== child) return;
      this.running.delete(name);
      this.entries.delete(name);
      this.write();
    });
    return child;
  }

  /** Stops all of them, dependents first, each when the one before is gone; what does not stop in time is forced. */
  async stopAll(): Promise<void> {
    this.closed = true;
    for (const name of STOP_ORDER) {
      const entry = this.entries.get(name);
      if (entry) await end(entry, STOP[name] ?? GENTLE);
    }
  }

  /** Ends all of them at once, without a chance to finish. */
  force(): void {
    this.closed = true;
    for (const [name, child] of this.running) child.kill((STOP[name] ?? GENTLE).force);
  }

  /** Gives the data folder back. Nothing may be running any more. */
  release(): void {
    this.entries.clear();
    this.write();
    this.lock.close();
  }

  private record(entry: Entry): void {
    this.entries.set(entry.name, entry);
    this.write();
  }

  private write(): void {
    const draft = `${this.file}.new`;
    try {
      writeFileSync(draft, JSON.stringify([...this.entries.values()], null, 2) + '\n');
      renameSync(draft, this.file);
    } catch {
      // A full disk must not keep us from stopping. An entry too many names nothing that lives; what is missing ends with
      // its channel, or is found by PostgreSQL's own file.
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

/** A record that is not there or was cut short names nothing. */
function entriesIn(file: string): Entry[] {
  try {
    const found: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return Array.isArray(found) ? (found as Entry[]).filter(({ pid }) => Number.isInteger(pid)) : [];
  } catch {
    return [];
  }
}

/** When the process started, in the system's own terms; null when there is none. */
function startOf(pid: number): string | null {
  if (process.platform !== 'linux') {
    const ps = spawnSync('ps', ['-o', 'lstart=,state=', '-p', String(pid)], { encoding: 'utf8' });
    const [, started, state] = /^\s*(.+?)\s+(\S+)\s*$/.exec(ps.stdout) ?? [];
    return started === undefined || state?.startsWith('Z') ? null : started;
  }
  try {
    // The name, in parentheses, may hold anything; state is field 3, the number of threads field 20, start time field 22
    // (proc_pid_stat(5)). While other threads are still ending, a dead first one does not mean that ports are free.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const isGone = fields[0] === 'X' || (fields[0] === 'Z' && Number(fields[17]) <= 1);
    return isGone ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

const isAlive = (entry: Entry) => startOf(entry.pid) === entry.started;

async function end(entry: Entry, { signal, force, graceMs }: StopOptions): Promise<void> {
  const gone = () => !isAlive(entry);
  send(entry.pid, signal);
  if (await until(gone, graceMs)) return;
  send(entry.pid, force);
  if (await until(gone, 5_000)) return;
  send(entry.pid, 'SIGKILL');
  await until(gone, 5_000);
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It is gone, which is what was wanted.
  }
}

const INTERVAL_MS = 20;

/** Waits until `condition` holds; false when it did not within `limitMs`. */
export async function until(condition: () => boolean, limitMs = Infinity): Promise<boolean> {
  for (const end = Date.now() + limitMs; !condition();) {
    if (Date.now() >= end) return false;
    await delay(INTERVAL_MS);
  }
  return true;
}

const REPORT_MS = 10_000;

/**
 * Prints every ten seconds what a start waits for. A start has no time limit: on a busy machine it takes minutes.
 * @returns what ends the reports
 */
export function reportWaiting(what: string, line: (text: string) => void): () => void {
  const started = performance.now();
  const seconds = () => Math.round((performance.now() - started) / 1000);
  const timer = setInterval(() => line(`Waiting for ${what} (${seconds()} s) …`), REPORT_MS);
  return () => clearInterval(timer);
}
