import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { unavailable } from '#libs/domain';
import { lowerPriority } from '#libs/runtime';
import type { Answer, Task } from './child/messages.js';
import { InspectionFailed } from './inspection-failed.js';

const START_TIMEOUT_MS = 30_000;
const MEMORY_WATCH_MS = 100;
const STDERR_CHARACTERS = 4096;

interface Asked {
  readonly id: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** A child process: its group, its channel, and what it may use. */
export class SandboxedProcess {
  /** Settled when it has said that it is there. @throws InspectionFailed */
  readonly ready: Promise<void>;
  /** How it ended. */
  readonly ended: Promise<string>;
  tasks = 0;
  cpuSeconds = 0;
  /** The last that it wrote to stderr: may quote files, so it is for debugging alone. */
  stderr = '';

  private readonly child: ChildProcess;
  private asked: Asked | null = null;
  private killed: string | null = null;
  private hasEnded = false;

  constructor(
    [file = '', ...args]: readonly string[],
    private readonly memoryBytes: number,
  ) {
    this.child = spawn(file, args, {
      detached: true,
      env: {},
      cwd: '/',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'advanced',
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-STDERR_CHARACTERS);
    });
    this.ended = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => resolve(this.killed ?? signal ?? `exit code ${code}`));
      // Not started, or its channel is broken: an exit may follow, or not.
      this.child.on('error', (error) => {
        this.kill('its channel broke');
        if (this.child.pid === undefined) resolve(error.message);
      });
    });
    void this.ended.then((how) => this.onEnd(how));
    this.ready = this.start();
    this.ready.catch(() => undefined);
  }

  get isAlive(): boolean {
    return !this.hasEnded && this.killed === null;
  }

  /**
   * One task; there must be none already. However it ends but with an answer, the process is gone.
   * @throws InspectionFailed; the signal's reason when that aborts
   */
  async run(task: Task, seconds: number, signal?: AbortSignal): Promise<unknown> {
    this.tasks++;
    this.stderr = '';
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const onAbort = () => {
      reject(signal?.reason);
      this.kill('aborted');
    };
    signal?.addEventListener('abort', onAbort);
    const deadline = setTimeout(() => this.kill(`not done after ${seconds} s`), seconds * 1000);
    const watch = setInterval(() => this.watchMemory(), MEMORY_WATCH_MS);
    try {
      this.asked = { id: randomUUID(), resolve, reject };
      if (signal?.aborted === true) onAbort();
      else if (this.isAlive) this.send({ ...task, id: this.asked.id });
      else reject(new InspectionFailed('the process had ended'));
      return await promise;
    } finally {
      this.asked = null;
      clearTimeout(deadline);
      clearInterval(watch);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Ends it and whatever it has started. */
  kill(why: string): void {
    if (this.hasEnded) return;
    this.killed ??= why;
    this.killGroup();
  }

  private async start(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.child.once('message', (said: Answer) => {
      if (typeof said === 'object' && said !== null && 'ready' in said) resolve();
      this.child.on('message', (next: Answer) => this.onAnswer(next));
    });
    void this.ended.then((how) => reject(new InspectionFailed(`a process did not start: ${how}`)));
    if (this.child.pid !== undefined) void lowerPriority(os.constants.priority.PRIORITY_LOW, this.child.pid);
    const timeout = setTimeout(() => this.kill('not there in time'), START_TIMEOUT_MS);
    try {
      await promise;
    } finally {
      clearTimeout(timeout);
    }
  }

  private send(question: object): void {
    this.child.send(question, (error) => {
      if (error !== null) this.kill('its channel broke');
    });
  }

  private onAnswer(said: Answer): void {
    const { asked } = this;
    // Whoever speaks out of turn would be taken for the answer to somebody else's file.
    if (
      asked === null ||
      typeof said !== 'object' ||
      said === null ||
      'ready' in said ||
      said.id !== asked.id
    ) {
      this.kill('it spoke out of turn');
      return;
    }
    this.cpuSeconds = Number(said.cpuSeconds);
    if (said.failed === undefined) asked.resolve(said.value);
    else
      asked.reject(new InspectionFailed(`the file could not be read: ${String(said.failed).slice(0, 100)}`));
  }

  private onEnd(how: string): void {
    this.hasEnded = true;
    // What it has started outlives it, in its group.
    this.killGroup();
    this.asked?.reject(new InspectionFailed(`the process that looked into the file ended: ${how}`));
  }

  private killGroup(): void {
    const { pid } = this.child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // There is none left.
    }
  }

  private watchMemory(): void {
    let resident = 0;
    try {
      const status = readFileSync(`/proc/${this.child.pid}/status`, 'latin1');
      resident = Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
    } catch {
      // There is no such folder here, or no such process any more.
    }
    if (resident > this.memoryBytes) this.kill(`more than ${this.memoryBytes} bytes of memory`);
  }
}

/** No file's fault, so it costs no attempt. */
export const noProcess = () => unavailable('INSPECTION_UNAVAILABLE', 'Files cannot be looked into just now.');
