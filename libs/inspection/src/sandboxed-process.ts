import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import os from 'node:os';
import type { Duplex } from 'node:stream';
import { unavailable } from '#libs/domain';
import { lowerPriority } from '#libs/runtime';
import { FrameReader, toFrame } from './child/frames.js';
import { type Answer, CHANNEL_FD, SERVE, type Task } from './child/messages.js';
import { overrunOf } from './deadline.js';
import { InspectionFailed } from './inspection-failed.js';
import { treeOf, usageOf } from './process-usage.js';

const START_TIMEOUT_MS = 30_000;
const WATCH_MS = 100;
const STDERR_CHARACTERS = 4096;

const CLOSED = 'its channel closed';

/** No picture is larger when it is encoded than as it is decoded. */
const BYTES_PER_PIXEL = 4;
const PICTURE_HEAD_BYTES = 2 ** 16;

/** What an answer may have of pictures. */
const picturesOf = (task: Task) =>
  task.kind === 'inspect'
    ? task.file.profiles.reduce(
        (sum, { maxSide }) => sum + BYTES_PER_PIXEL * maxSide ** 2 + PICTURE_HEAD_BYTES,
        PICTURE_HEAD_BYTES,
      )
    : 0;

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
  private readonly channel: Duplex | undefined;
  private readonly frames = new FrameReader(0);
  private isReady = false;
  private asked: Asked | null = null;
  private killed: string | null = null;
  private isExhausted = false;
  private hasEnded = false;

  constructor(
    [file = '', ...args]: readonly string[],
    private readonly memoryBytes: number,
  ) {
    this.child = spawn(file, [...args, SERVE], {
      detached: true,
      env: {},
      cwd: '/',
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    });
    // Not there when no pipes could be made.
    const stdio = this.child.stdio as ChildProcess['stdio'] | undefined;
    this.channel = (stdio?.[CHANNEL_FD] as Duplex | null | undefined) ?? undefined;
    this.channel?.on('error', () => this.kill('its channel broke'));
    this.channel?.on('close', () => setImmediate(() => this.kill(CLOSED)));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-STDERR_CHARACTERS);
    });
    this.ended = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => {
        // One that ends closes its channel first, and how it ends says more.
        const isItsOwn = this.killed === null || (this.killed === CLOSED && signal !== 'SIGKILL');
        resolve(isItsOwn ? (signal ?? `exit code ${code}`) : this.killed!);
      });
      // Not started, or it could not be signalled: an exit may follow, or not.
      this.child.on('error', (error) => {
        this.kill('it is out of reach');
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
    const stopWatch = this.watch(seconds);
    try {
      this.asked = { id: randomUUID(), resolve, reject };
      this.frames.maxBytes = Math.min(this.memoryBytes, picturesOf(task));
      if (signal?.aborted === true) onAbort();
      else if (this.isAlive) this.send({ ...task, id: this.asked.id });
      else reject(new InspectionFailed('the process had ended'));
      return await promise;
    } finally {
      this.asked = null;
      stopWatch();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Ends it and whatever it has started. */
  kill(why: string): void {
    if (this.hasEnded) return;
    this.killed ??= why;
    // Whatever holds the other end, nothing is heard of it.
    this.channel?.destroy();
    this.killGroup();
  }

  private async start(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.channel?.on('data', (chunk: Buffer) => this.hear(chunk, resolve));
    void this.ended.then((how) => reject(new InspectionFailed(`a process did not start: ${how}`)));
    this.lowerPriority();
    const timeout = setTimeout(() => this.kill('not there in time'), START_TIMEOUT_MS);
    try {
      await promise;
    } finally {
      clearTimeout(timeout);
    }
    // Those that it had started before the first time.
    this.lowerPriority();
  }

  /** Lower still, a busy machine would leave it so little that honest files are not done by the deadline. */
  private lowerPriority(): void {
    const { pid } = this.child;
    if (pid === undefined) return;
    for (const member of treeOf(pid)) void lowerPriority(os.constants.priority.PRIORITY_BELOW_NORMAL, member);
  }

  private send(question: object): void {
    this.channel?.write(toFrame(question));
  }

  private hear(chunk: Buffer, onReady: () => void): void {
    try {
      for (const said of this.frames.push(chunk)) {
        if (!this.isAlive) return;
        if (this.isReady) this.onAnswer(said as Answer);
        else if (isObject(said) && 'ready' in said) {
          this.isReady = true;
          onReady();
        } else this.kill('it spoke out of turn');
      }
    } catch {
      this.kill('it spoke what is no answer');
    }
  }

  private onAnswer(said: Answer): void {
    const { asked } = this;
    // Whoever speaks out of turn would be taken for the answer to somebody else's file.
    if (asked === null || !isObject(said) || 'ready' in said || said.id !== asked.id) {
      this.kill('it spoke out of turn');
      return;
    }
    this.frames.maxBytes = 0;
    this.cpuSeconds = Number(said.cpuSeconds);
    if (said.failed === undefined) asked.resolve(said.value);
    else
      asked.reject(new InspectionFailed(`the file could not be read: ${String(said.failed).slice(0, 100)}`));
  }

  private onEnd(how: string): void {
    this.hasEnded = true;
    // What it has started outlives it, in its group.
    this.killGroup();
    const isExhausted = this.isExhausted || how === 'SIGXCPU';
    this.asked?.reject(
      new InspectionFailed(`the process that looked into the file ended: ${how}`, { isExhausted }),
    );
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

  /** Ends the process when its task uses more time or memory than it may, whatever the reader does meanwhile. */
  private watch(seconds: number): () => void {
    const pid = this.child.pid ?? 0;
    const started = performance.now();
    const before = usageOf(pid);
    let last: NodeJS.Immediate | undefined;
    const timer = setInterval(() => {
      const now = usageOf(pid);
      if (now.residentBytes > this.memoryBytes) this.kill(`more than ${this.memoryBytes} bytes of memory`);
      const overrun = overrunOf(seconds, { before, now, elapsedMs: performance.now() - started });
      // After this process stood still, timers run before the answer that has been waiting for it.
      if (overrun !== null) {
        last = setImmediate(() => {
          this.isExhausted = true;
          this.kill(overrun);
        });
      }
    }, WATCH_MS);
    return () => {
      clearInterval(timer);
      clearImmediate(last);
    };
  }
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** No file's fault, so it costs no attempt. */
export const noProcess = () => unavailable('INSPECTION_UNAVAILABLE', 'Files cannot be looked into just now.');
