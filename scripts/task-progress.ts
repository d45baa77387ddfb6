/** The part of a run that its progress shows. */
export interface ShownRun {
  readonly id: string;
  readonly task: string;
  readonly status: string;
  readonly dryRun: boolean;
  readonly examined: number;
  readonly changed: number;
  readonly failed: number;
}

/** Standard error, or a stream of a test. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const FRAME_MS = 100;
const FRAMES = [...'⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'];
const BAR_WIDTH = 20;
const DEFAULT_COLUMNS = 80;
/** Time after which a log without changes of the status gets another line. */
const LINE_MS = 60_000;
/** Time after which a run that no worker takes is remarkable. */
const QUEUED_MS = 15_000;
const CLEAR_LINE = '\r\u001b[K';

export const titleOf = ({ id, task, status, dryRun }: Omit<ShownRun, 'examined' | 'changed' | 'failed'>) =>
  `${task}, ${dryRun ? 'dry run' : 'run'} ${id}: ${status}`;

/**
 * Progress of a run: on a terminal one line that changes in place, elsewhere a line for each status and one per minute.
 *
 * @example
 * const progress = new TaskProgress(process.stderr, null);
 * progress.show(run); // after each poll
 * progress.stop();
 */
export class TaskProgress {
  private readonly stream: ProgressStream;
  private readonly planned: number | null;
  private readonly now: () => number;
  private readonly beganAt: number;
  private timer?: NodeJS.Timeout;
  private run: ShownRun | null = null;
  private frame = 0;
  private queuedSince: number | null = null;
  private lineAt = 0;

  /**
   * @param planned number of actions of the whole run, or null if it is not known
   * @param now milliseconds of a clock that does not jump
   */
  constructor(stream: ProgressStream, planned: number | null, now = () => performance.now()) {
    this.stream = stream;
    this.planned = planned;
    this.now = now;
    this.beganAt = now();
  }

  show(run: ShownRun): void {
    const isNew = run.status !== this.run?.status;
    this.run = run;
    if (this.stream.isTTY === true) {
      this.draw();
      this.timer ??= setInterval(() => this.draw(), FRAME_MS);
    } else if (isNew) this.print(titleOf(run));
    else if (this.now() - this.lineAt >= LINE_MS) this.print(`${titleOf(run)}, ${this.counts(run)}`);
    this.remarkOnQueue(run);
  }

  /** Clears the line of a terminal. */
  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    if (this.stream.isTTY === true) this.stream.write(CLEAR_LINE);
  }

  private draw(): void {
    const spinner = FRAMES[this.frame++ % FRAMES.length];
    const line = `${spinner} ${titleOf(this.run!)}, ${this.counts(this.run!)}`;
    this.stream.write(CLEAR_LINE + [...line].slice(0, (this.stream.columns || DEFAULT_COLUMNS) - 1).join(''));
  }

  private print(line: string): void {
    this.lineAt = this.now();
    this.stream.write(`${line}\n`);
  }

  /** A task that needs confirmation counts its actions before it performs them, so they are not called changes here. */
  private counts({ examined, changed, failed }: ShownRun): string {
    const seconds = Math.floor((this.now() - this.beganAt) / 1000);
    const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
    const actions =
      this.planned === null
        ? `${changed} actions`
        : `${bar(changed / this.planned)} ${changed} of ${this.planned} actions`;
    return `${actions}, ${examined} examined, ${failed} failed, ${time}`;
  }

  private remarkOnQueue({ id, status }: ShownRun): void {
    if (status !== 'QUEUED') {
      this.queuedSince = null;
      return;
    }
    this.queuedSince ??= this.now();
    if (this.now() - this.queuedSince < QUEUED_MS) return;
    this.queuedSince = Infinity;
    const clear = this.stream.isTTY === true ? CLEAR_LINE : '';
    this.stream.write(
      `${clear}No worker has taken run ${id} for ${QUEUED_MS / 1000} s: see whether one runs, and its log.\n`,
    );
  }
}

function bar(share: number): string {
  const filled = Math.min(BAR_WIDTH, Math.floor(share * BAR_WIDTH));
  return '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
}
