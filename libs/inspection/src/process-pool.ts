import { setTimeout as delay } from 'node:timers/promises';
import type { PinoLogger } from 'nestjs-pino';
import type { Task } from './child/messages.js';
import { InspectionFailed } from './inspection-failed.js';
import { noProcess, SandboxedProcess } from './sandboxed-process.js';

export interface PoolOptions {
  readonly processes: number;
  /** Time of a task, but for what it waits for a processor; a process that has used up as much processor time in all its tasks is replaced. */
  readonly seconds: number;
  readonly memoryBytes: number;
  /** Tasks after which a process is replaced. */
  readonly recycleAfter: number;
}

interface Waiting {
  readonly task: Task;
  readonly seconds: number;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 30_000;
/** Starts in a row that failed, after which nobody waits for the next. */
const HOPELESS_STARTS = 3;

/** Warm processes, and the tasks that wait for one, first come first served. */
export class ProcessPool {
  private readonly waiting: Waiting[] = [];
  private readonly idle: SandboxedProcess[] = [];
  private readonly live = new Set<SandboxedProcess>();
  private readonly running = new Set<Promise<void>>();
  private readonly starting = new Set<Promise<void>>();
  private readonly closed = new AbortController();
  /** In a row: processes that did not start, or ended before their first task. */
  private failures = 0;
  private isStarted = false;

  constructor(
    private readonly options: PoolOptions,
    /** Of the process at a place. */
    private readonly command: (place: number) => Promise<readonly string[]>,
    private readonly logger: PinoLogger,
  ) {}

  start(): void {
    if (this.isStarted) return;
    this.isStarted = true;
    for (let place = 0; place < this.options.processes; place++) this.fill(place);
  }

  /**
   * @param seconds - of this task, where it may have less than the pool's others
   * @throws InspectionFailed; StowageError unavailable; the signal's reason
   */
  async run(task: Task, signal?: AbortSignal, seconds = this.options.seconds): Promise<unknown> {
    signal?.throwIfAborted();
    if (this.closed.signal.aborted || this.isHopeless) throw noProcess();
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
    if (this.isHopeless) throw noProcess();
  }

  /** Lets running tasks come to their end, which their deadline sets; waiting ones are refused as unavailable. */
  async close(): Promise<void> {
    this.closed.abort();
    this.refuseWaiting();
    await Promise.all(this.running);
    await Promise.all(this.starting);
    await Promise.all(
      [...this.live].map((process) => {
        process.kill('closing');
        return process.ended;
      }),
    );
  }

  private get isHopeless(): boolean {
    return this.live.size === 0 && this.failures >= HOPELESS_STARTS;
  }

  private refuseWaiting(): void {
    for (const { reject } of this.waiting.splice(0)) reject(noProcess());
  }

  private dispatch(): void {
    while (this.idle.length > 0 && this.waiting.length > 0) {
      const working = this.work(this.idle.shift()!, this.waiting.shift()!);
      this.running.add(working);
      void working.then(() => this.running.delete(working));
    }
  }

  private async work(
    process: SandboxedProcess,
    { task, seconds, signal, resolve, reject }: Waiting,
  ): Promise<void> {
    try {
      resolve(await process.run(task, seconds, signal));
      this.failures = 0;
    } catch (error) {
      reject(error);
    }
    if (process.stderr !== '')
      this.logger.debug({ stderr: process.stderr }, 'said while looking into a file');
    const isSpent =
      process.tasks >= this.options.recycleAfter || !(process.cpuSeconds <= this.options.seconds);
    if (isSpent) process.kill('spent');
    else if (process.isAlive) this.offer(process);
  }

  private offer(process: SandboxedProcess): void {
    this.idle.push(process);
    this.dispatch();
  }

  /** Starts one process, sooner or later. */
  private fill(place: number): void {
    const starting = this.startOne(place);
    this.starting.add(starting);
    void starting.then(() => this.starting.delete(starting));
  }

  private async startOne(place: number): Promise<void> {
    const { signal } = this.closed;
    while (!signal.aborted) {
      const pause =
        this.failures === 0 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (this.failures - 1), LONGEST_PAUSE_MS);
      // Only closing ends it early.
      if (pause > 0) await delay(pause, undefined, { signal }).catch(() => undefined);
      try {
        const command = await this.command(place);
        if (signal.aborted) return;
        const process = new SandboxedProcess(command, this.options.memoryBytes);
        const stop = () => process.kill('closing');
        signal.addEventListener('abort', stop);
        await process.ready.finally(() => signal.removeEventListener('abort', stop));
        this.live.add(process);
        void process.ended.then((how) => this.onEnd(process, place, how));
        this.offer(process);
        return;
      } catch (error) {
        this.onFailure(error);
      }
    }
  }

  private onEnd(process: SandboxedProcess, place: number, how: string): void {
    this.live.delete(process);
    const index = this.idle.indexOf(process);
    if (index >= 0) this.idle.splice(index, 1);
    if (this.closed.signal.aborted) return;
    this.logger.debug(
      { how, tasks: process.tasks, stderr: process.stderr },
      'a process that looks into files ended',
    );
    if (process.tasks === 0)
      this.onFailure(new InspectionFailed(`a process ended before its first task: ${how}`));
    this.fill(place);
  }

  private onFailure(err: unknown): void {
    if (this.closed.signal.aborted) return;
    this.failures++;
    this.logger.error({ err, failures: this.failures }, 'a process that looks into files did not start');
    if (this.isHopeless) this.refuseWaiting();
  }
}
