import type { PinoLogger } from 'nestjs-pino';
import { unavailable } from '#libs/domain';
import type { TaskProgress } from './task-runner.js';
import { type HeldRun, LEASE_MS, type TaskRunsRepository } from './task-runs.repository.js';

/** Interval at which progress is recorded. */
const RECORD_MS = 2_000;
/** Time that steps have to end before another worker may take the run. */
const ABORT_MS = 5_000;

/** The lease of this worker on a run. Records the progress and renews the lease until it is ended. */
export class RunLease {
  private readonly lost = new AbortController();
  /** Aborts when the run was lost, and before another worker can take it. */
  readonly signal = this.lost.signal;
  private readonly timer = setInterval(() => {
    if (this.writing === undefined) void this.start(() => this.record());
  }, RECORD_MS);
  private expiry: NodeJS.Timeout;
  private writing: Promise<unknown> | undefined;

  /** @param sentAt time of `performance.now()` before the statement that began the lease */
  constructor(
    private readonly runs: TaskRunsRepository,
    private readonly run: HeldRun,
    private readonly progress: TaskProgress,
    private readonly logger: PinoLogger,
    sentAt: number,
  ) {
    this.expiry = this.expireAfter(sentAt);
  }

  /** Writes the run while no progress is recorded: a record that arrives later would undo the write. */
  async write<T>(write: () => Promise<T>): Promise<T> {
    while (this.writing !== undefined) await this.writing;
    return this.start(write);
  }

  /** Ends the renewal, so that the caller can end the run. */
  async end(): Promise<void> {
    clearInterval(this.timer);
    while (this.writing !== undefined) await this.writing;
    clearTimeout(this.expiry);
  }

  private start<T>(write: () => Promise<T>): Promise<T> {
    const result = write();
    const ended = () => {
      this.writing = undefined;
    };
    this.writing = result.then(ended, ended);
    return result;
  }

  private async record(): Promise<void> {
    const sentAt = performance.now();
    try {
      if (await this.runs.record(this.run, this.progress)) {
        clearTimeout(this.expiry);
        this.expiry = this.expireAfter(sentAt);
      } else {
        this.lose();
      }
    } catch (err) {
      // It is unknown whether the lease was renewed, so the present expiry stays.
      this.logger.warn({ err, taskRun: String(this.run.id) }, 'progress of a task not recorded');
    }
  }

  private expireAfter(sentAt: number): NodeJS.Timeout {
    return setTimeout(() => this.lose(), sentAt + LEASE_MS - ABORT_MS - performance.now());
  }

  private lose(): void {
    this.lost.abort(unavailable('LEASE_LOST', 'Another worker may have taken over this run.'));
  }
}
