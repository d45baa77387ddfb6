/** Delays between two runs of a {@link WakeableLoop}, in milliseconds. */
interface Delays {
  /** Without a wake-up. */
  readonly heartbeatMs: number;
  /** After a wake-up, so that wake-ups within it share a run. */
  readonly batchMs: number;
  /** After a run during which a wake-up came: a busy process runs less often, with larger batches. */
  readonly busyMs: number;
}

/** Runs `work` at each heartbeat and soon after each wake-up, never twice at once. */
export class WakeableLoop {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private rerun = false;
  private scheduled = false;
  private started = false;

  constructor(
    /** Resolves to true if there is more to do at once. An error counts as false, and the next heartbeat tries again. */
    private readonly work: () => Promise<boolean>,
    private readonly delays: Delays,
  ) {}

  start(): void {
    this.started = true;
    this.schedule(this.delays.heartbeatMs);
  }

  /** Starts no further run, and resolves when the running one is over. */
  async stop(): Promise<void> {
    this.started = false;
    clearTimeout(this.timer);
    await this.running;
  }

  /** Runs `work` soon. Ignored before the start and after the end. */
  wake(): void {
    if (!this.started) return;
    if (this.running !== undefined) this.rerun = true;
    else if (!this.scheduled) {
      // Later calls must not restart the timer: under load they never pause.
      this.scheduled = true;
      this.schedule(this.delays.batchMs);
    }
  }

  private schedule(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.scheduled = false;
      this.running = this.run().finally(() => {
        this.running = undefined;
        if (!this.started) return;
        this.schedule(this.rerun ? this.delays.busyMs : this.delays.heartbeatMs);
        this.rerun = false;
      });
    }, ms);
  }

  private async run(): Promise<void> {
    try {
      if (await this.work()) this.rerun = true;
    } catch {
      this.rerun = false;
    }
  }
}
