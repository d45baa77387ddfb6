import { setTimeout as delay } from 'node:timers/promises';
import type { PinoLogger } from 'nestjs-pino';
import type { Task } from './child/messages.js';
import { InspectionFailed, TaskUndelivered } from './inspection-failed.js';
import { inspectionUnavailable, SandboxedProcess } from './sandboxed-process.js';

export interface PoolOptions {
  readonly processes: number;
  /**
   * Limit of one task in seconds: its processor time, and its wall time without waits for a processor. A process whose
   * tasks have used this much processor time together is replaced.
   */
  readonly seconds: number;
  readonly memoryBytes: number;
  /** Tasks after which a process is replaced. */
  readonly recycleAfter: number;
}

interface WaitingTask {
  readonly task: Task;
  readonly seconds: number;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 30_000;
/** Failed starts in a row after which tasks are refused at once instead of waiting for the next start. */
const MAX_FAILED_STARTS = 3;

/** Warm processes and the queue of tasks that wait for one, in order of their calls. */
export class ProcessPool {
  private readonly waiting: WaitingTask[] = [];
  private readonly idle: SandboxedProcess[] = [];
  private readonly live = new Set<SandboxedProcess>();
  /** Running tasks and starting processes. */
  private readonly activities = new Set<Promise<void>>();
  private readonly closed = new AbortController();
  /** Consecutive processes that did not start, or ended before their first task. */
  private failures = 0;
  private isStarted = false;

  constructor(
    private readonly options: PoolOptions,
    /** Returns the command line of the process in a slot. */
    private readonly command: (slot: number) => Promise<readonly string[]>,
    private readonly logger: PinoLogger,
  ) {}

  start(): void {
    if (this.isStarted) return;
    this.isStarted = true;
    for (let slot = 0; slot < this.options.processes; slot++) this.track(this.fill(slot));
  }

  /**
   * Runs a task in the next idle process.
   * @param seconds - limit of this task, for tasks that get less time than the others
   * @throws InspectionFailed; StowageError unavailable when no process can be started; the signal's reason
   */
  async run(task: Task, signal?: AbortSignal, seconds = this.options.seconds): Promise<unknown> {
    signal?.throwIfAborted();
    if (this.closed.signal.aborted || this.hasGivenUp) throw inspectionUnavailable();
    this.start();
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const waiting = { task, seconds, signal, resolve, reject };
    const onAbort = () => {
      const index = this.waiting.indexOf(waiting);
      if (index >= 0) this.waiting.splice(index, 1);
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', onAbort);
    this.waiting.push(waiting);
    this.dispatch();
    try {
      return await promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** @throws StowageError unavailable while no process can be started */
  check(): void {
    if (this.hasGivenUp) throw inspectionUnavailable();
  }

  /** Lets running tasks finish, at the latest at their deadline, and refuses waiting ones as unavailable. */
  async close(): Promise<void> {
    this.closed.abort();
    this.refuseWaiting();
    await Promise.all(this.activities);
    await Promise.all(
      [...this.live].map((process) => {
        process.kill('closing');
        return process.ended;
      }),
    );
  }

  private get hasGivenUp(): boolean {
    return this.live.size === 0 && this.failures >= MAX_FAILED_STARTS;
  }

  private refuseWaiting(): void {
    for (const { reject } of this.waiting.splice(0)) reject(inspectionUnavailable());
  }

  private track(activity: Promise<void>): void {
    this.activities.add(activity);
    void activity.then(() => this.activities.delete(activity));
  }

  private dispatch(): void {
    while (this.idle.length > 0 && this.waiting.length > 0) {
      this.track(this.work(this.idle.shift()!, this.waiting.shift()!));
    }
  }

  private async work(process: SandboxedProcess, given: WaitingTask): Promise<void> {
    try {
      given.resolve(await process.run(given.task, given.seconds, given.signal));
      this.failures = 0;
    } catch (error) {
      if (error instanceof TaskUndelivered) this.requeue(given);
      else given.reject(error);
    }
    if (process.stderr !== '')
      this.logger.debug({ stderr: process.stderr }, 'inspection process wrote to stderr');
    const isSpent =
      process.tasks >= this.options.recycleAfter || !(process.cpuSeconds <= this.options.seconds);
    if (isSpent) process.kill('spent');
    else if (process.isAlive) this.offer(process);
  }

  /** Gives a task to the next process, because it never reached its own. */
  private requeue(given: WaitingTask): void {
    this.waiting.unshift(given);
    if (this.closed.signal.aborted || this.hasGivenUp) this.refuseWaiting();
    else this.dispatch();
  }

  private offer(process: SandboxedProcess): void {
    this.idle.push(process);
    this.dispatch();
  }

  /** Starts the process of a slot, with retries and backoff, until it is ready or the pool closes. */
  private async fill(slot: number): Promise<void> {
    const { signal } = this.closed;
    while (!signal.aborted) {
      const pause =
        this.failures === 0 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (this.failures - 1), LONGEST_PAUSE_MS);
      // The delay rejects only when the pool closes.
      if (pause > 0) await delay(pause, undefined, { signal }).catch(() => undefined);
      try {
        const command = await this.command(slot);
        if (signal.aborted) return;
        const process = new SandboxedProcess(command, this.options.memoryBytes);
        const stop = () => process.kill('closing');
        signal.addEventListener('abort', stop);
        await process.ready.finally(() => signal.removeEventListener('abort', stop));
        this.live.add(process);
        void process.ended.then((how) => this.onEnd(process, slot, how));
        this.offer(process);
        return;
      } catch (error) {
        this.onFailure(error);
      }
    }
  }

  private onEnd(process: SandboxedProcess, slot: number, how: string): void {
    this.live.delete(process);
    const index = this.idle.indexOf(process);
    if (index >= 0) this.idle.splice(index, 1);
    if (this.closed.signal.aborted) return;
    this.logger.debug({ how, tasks: process.tasks, stderr: process.stderr }, 'inspection process ended');
    if (process.tasks === 0)
      this.onFailure(new InspectionFailed(`a process ended before its first task: ${how}`));
    this.track(this.fill(slot));
  }

  private onFailure(err: unknown): void {
    if (this.closed.signal.aborted) return;
    this.failures++;
    this.logger.error({ err, failures: this.failures }, 'inspection process did not start');
    if (this.hasGivenUp) this.refuseWaiting();
  }
}
