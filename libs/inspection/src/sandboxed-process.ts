import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import os from 'node:os';
import type { Duplex } from 'node:stream';
import { unavailable } from '#libs/domain';
import { lowerPriority } from '#libs/runtime';
import { FrameReader, toFrame } from './child/frames.js';
import { type ChildResponse, CHANNEL_FD, SERVE, type Task } from './child/messages.js';
import { findOverrun } from './deadline.js';
import { InspectionFailed, TaskUndelivered } from './inspection-failed.js';
import { treeOf, usageOf } from './process-usage.js';

const START_TIMEOUT_MS = 30_000;
const WATCH_MS = 100;
const STDERR_CHARACTERS = 4096;

const CLOSED = 'its channel closed';

/** An encoded picture is assumed to be no larger than the decoded one, in RGBA. */
const BYTES_PER_PIXEL = 4;
const PICTURE_HEAD_BYTES = 2 ** 16;

/** The limit for the pictures in an answer to a task, in bytes. */
const maxPictureBytes = (task: Task) =>
  task.kind === 'inspect'
    ? task.file.profiles.reduce(
        (sum, { width, height }) => sum + BYTES_PER_PIXEL * width * height + PICTURE_HEAD_BYTES,
        PICTURE_HEAD_BYTES,
      )
    : 0;

interface PendingTask {
  readonly id: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** Whether the process can have read the whole task. */
  isDelivered: boolean;
}

/** A child process with its process group, message channel and limits. */
export class SandboxedProcess {
  /** Resolves when the process has reported that it is ready. @throws InspectionFailed */
  readonly ready: Promise<void>;
  /** Resolves with the reason when the process has ended: an exit code, a signal or the reason of `kill`. */
  readonly ended: Promise<string>;
  /** Number of delivered tasks. */
  tasks = 0;
  cpuSeconds = 0;
  /** The last characters that the process wrote to stderr. They may quote file content, so only debug logs show them. */
  stderr = '';

  private readonly child: ChildProcess;
  private readonly channel: Duplex | undefined;
  private readonly frames = new FrameReader(0);
  private isReady = false;
  private pending: PendingTask | null = null;
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
    // Undefined when the pipes could not be created.
    const stdio = this.child.stdio as ChildProcess['stdio'] | undefined;
    this.channel = (stdio?.[CHANNEL_FD] as Duplex | null | undefined) ?? undefined;
    this.channel?.on('error', () => this.kill('its channel broke'));
    this.channel?.on('close', () => setImmediate(() => this.kill(CLOSED)));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-STDERR_CHARACTERS);
    });
    this.ended = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => {
        // A process that ends by itself closes its channel first, but its exit code or signal is the better reason.
        const hasEndedItself = this.killed === null || (this.killed === CLOSED && signal !== 'SIGKILL');
        resolve(hasEndedItself ? (signal ?? `exit code ${code}`) : this.killed!);
      });
      // Node.js emits this when the process could not be started or signalled. An exit event may or may not follow.
      this.child.on('error', (error) => {
        this.kill('it could not be started or signalled');
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
   * Runs one task. The caller must not start a second one meanwhile. The process is killed unless it answers.
   * @param seconds - limit of the task: its processor time, and its wall time without waits for a processor
   * @throws InspectionFailed; TaskUndelivered; the signal's reason when it aborts
   */
  async run(task: Task, seconds: number, signal?: AbortSignal): Promise<unknown> {
    this.stderr = '';
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const onAbort = () => {
      reject(signal?.reason);
      this.kill('aborted');
    };
    signal?.addEventListener('abort', onAbort);
    const stopWatch = this.watch(seconds);
    try {
      this.pending = { id: randomUUID(), resolve, reject, isDelivered: false };
      this.frames.maxBytes = Math.min(this.memoryBytes, maxPictureBytes(task));
      if (signal?.aborted === true) onAbort();
      else if (this.isAlive) this.send(task, this.pending);
      else reject(new TaskUndelivered('the process had ended'));
      return await promise;
    } finally {
      this.pending = null;
      stopWatch();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Kills the process and its process group. */
  kill(why: string): void {
    if (this.hasEnded) return;
    this.killed ??= why;
    // A descendant may still hold the other end; its messages must not be read.
    this.channel?.destroy();
    this.killGroup();
  }

  private async start(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.channel?.on('data', (chunk: Buffer) => this.onData(chunk, resolve));
    void this.ended.then((how) => reject(new InspectionFailed(`a process did not start: ${how}`)));
    this.lowerPriority();
    const timeout = setTimeout(() => this.kill('not ready in time'), START_TIMEOUT_MS);
    try {
      await promise;
    } finally {
      clearTimeout(timeout);
    }
    // Processes that the child started before the first call.
    this.lowerPriority();
  }

  /** Lowers the priority only moderately: on a busy machine, ordinary files would otherwise miss their deadline. */
  private lowerPriority(): void {
    const { pid } = this.child;
    if (pid === undefined) return;
    for (const member of treeOf(pid)) void lowerPriority(os.constants.priority.PRIORITY_BELOW_NORMAL, member);
  }

  private send(task: Task, pending: PendingTask): void {
    this.channel?.write(toFrame({ ...task, id: pending.id }), (error) => {
      // Node.js reports a write that a closed channel has cut off as successful.
      if (error || this.channel?.destroyed === true) return;
      this.tasks++;
      pending.isDelivered = true;
    });
  }

  private onData(chunk: Buffer, onReady: () => void): void {
    try {
      for (const message of this.frames.push(chunk)) {
        if (!this.isAlive) return;
        if (this.isReady) this.onAnswer(message as ChildResponse);
        else if (isObject(message) && 'ready' in message) {
          this.isReady = true;
          onReady();
        } else this.kill('it sent a message out of turn');
      }
    } catch {
      this.kill('its message is no answer');
    }
  }

  private onAnswer(answer: ChildResponse): void {
    const { pending } = this;
    // A message out of turn would be taken for the answer about another file.
    if (pending === null || !isObject(answer) || 'ready' in answer || answer.id !== pending.id) {
      this.kill('it sent a message out of turn');
      return;
    }
    this.frames.maxBytes = 0;
    this.cpuSeconds = Number(answer.cpuSeconds);
    if (answer.failed === undefined) pending.resolve(answer.value);
    else
      pending.reject(
        new InspectionFailed(`the file could not be read: ${String(answer.failed).slice(0, 100)}`),
      );
  }

  private onEnd(how: string): void {
    this.hasEnded = true;
    // Descendants outlive the process, in its group.
    this.killGroup();
    const isExhausted = this.isExhausted || how === 'SIGXCPU';
    const message = `the inspection process ended: ${how}`;
    this.pending?.reject(
      this.pending.isDelivered
        ? new InspectionFailed(message, { isExhausted })
        : new TaskUndelivered(message),
    );
  }

  private killGroup(): void {
    const { pid } = this.child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // The group is empty.
    }
  }

  /** Kills the process when its task exceeds its time or memory, even while the code of a reader never yields. */
  private watch(seconds: number): () => void {
    const pid = this.child.pid ?? 0;
    const started = performance.now();
    const before = usageOf(pid);
    let last: NodeJS.Immediate | undefined;
    const timer = setInterval(() => {
      const now = usageOf(pid);
      if (now.residentBytes > this.memoryBytes) this.kill(`more than ${this.memoryBytes} bytes of memory`);
      const overrun = findOverrun(seconds, { before, now, elapsedMs: performance.now() - started });
      // After this process was suspended, timers run before an answer that has already arrived: an immediate lets it win.
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

/** The file is not at fault, so the error costs no attempt. */
export const inspectionUnavailable = () =>
  unavailable('INSPECTION_UNAVAILABLE', 'Files cannot be inspected at the moment. Try again later.');
