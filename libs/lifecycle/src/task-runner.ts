import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Counter, Registry } from 'prom-client';
import { kindOf } from '#libs/domain';
import type { Task, TaskAction, TaskContext, TaskStep } from '#libs/runtime';
import type { DeclaredTask } from './declared-tasks.js';
import { TasksConfig } from './tasks.config.js';

/** Actions that a run records. */
export const MAX_ACTIONS = 100;
const CONCURRENCY = 8;
/** Steps that fail one after the other because a dependency is unavailable, after which the run ends. */
const MAX_OUTAGES = 20;
/** Steps that may be done, or in progress, after one that takes long. */
const MAX_ENTRIES = 1_000;
const MAX_CURSOR = 2_048;
const MAX_TIMER_MS = 60_000;
/** Longer than the key of an object, which a subject may contain. */
const MAX_TEXT = 1_200;

/** One line of what a run did, or with a dry run would do. */
export interface RunAction {
  readonly action: string;
  readonly subject: string;
  readonly detail?: string;
}

/** How far a run has come. The runner updates it with each step that is done. */
export interface TaskProgress {
  /** The cursor of the last step before which all steps are done. */
  cursor: string | null;
  examined: number;
  /** Changes that were made, or with a dry run would be made. */
  changed: number;
  failed: number;
  /** The first {@link MAX_ACTIONS}, in the order of the steps. */
  readonly actions: RunAction[];
}

export const newProgress = (): TaskProgress => ({
  cursor: null,
  examined: 0,
  changed: 0,
  failed: 0,
  actions: [],
});

/**
 * - `succeeded`
 * - `unavailable`: ended because a dependency is not available; the run continues from its cursor later
 * - `failed`: the task itself threw an error
 * - `aborted`: the signal aborted, so the run is incomplete
 * - `exceeded`: ended at the number of changes that are allowed
 */
export type TaskOutcome = 'succeeded' | 'unavailable' | 'failed' | 'aborted' | 'exceeded';

/** Part of {@link TaskContext} that the caller decides, and the number of changes that may be made. */
export interface RunOptions extends Pick<TaskContext, 'now' | 'signal' | 'isDryRun'> {
  readonly allowed?: number;
}

interface Entry {
  readonly step: TaskStep;
  isDone: boolean;
  action?: RunAction;
}

/** One execution of a task: its steps in progress and its rates. */
class Execution {
  private readonly entries: Entry[] = [];
  private readonly active = new Set<Promise<void>>();
  private outages = 0;
  /** The position before the first of the outages that follow each other. */
  private beforeOutages: Partial<TaskProgress> = {};
  private planned: number;
  private nextStepAt = 0;
  private nextActionAt = 0;
  private end: TaskOutcome | null = null;

  constructor(
    private readonly task: Pick<DeclaredTask, 'name' | 'call' | 'concurrency'>,
    private readonly options: RunOptions,
    private readonly progress: TaskProgress,
    private readonly actionsPerSecond: number,
    private readonly logger: PinoLogger,
  ) {
    // Changes of the workers that had the run before count too.
    this.planned = progress.changed;
  }

  /** @throws the error of the task */
  async run(): Promise<TaskOutcome> {
    let outcome: TaskOutcome = 'aborted';
    try {
      await this.takeSteps();
      outcome = this.end ?? (this.options.signal.aborted ? 'aborted' : 'succeeded');
    } finally {
      // The steps that an outage made fail are done again.
      if (outcome !== 'succeeded' && this.outages > 0) Object.assign(this.progress, this.beforeOutages);
    }
    return outcome;
  }

  private async takeSteps(): Promise<void> {
    const { signal } = this.options;
    const steps = iterate(this.task.call({ ...this.options, cursor: this.progress.cursor }));
    try {
      for (;;) {
        // A task may claim subjects, so a step is taken only when it can begin.
        await this.waitForCapacity();
        await pause(this.nextStepAt, signal);
        if (signal.aborted || this.end !== null) break;
        const next = await steps.next();
        if (next.done === true) break;
        this.start(next.value);
      }
    } finally {
      await Promise.all(this.active);
      await steps.return();
    }
  }

  private async waitForCapacity(): Promise<void> {
    const { concurrency = CONCURRENCY } = this.task;
    const isFull = () => this.active.size >= concurrency || this.entries.length >= MAX_ENTRIES;
    while (this.active.size > 0 && isFull()) await Promise.race(this.active);
  }

  /** @throws Error if the cursor is too long */
  private start(step: TaskStep): void {
    if (step.cursor !== undefined && step.cursor.length > MAX_CURSOR)
      throw new Error(`A cursor of the task ${this.task.name} has more than ${MAX_CURSOR} characters.`);
    const entry: Entry = { step, isDone: false };
    this.entries.push(entry);
    this.nextStepAt = Math.max(this.nextStepAt, performance.now()) + (step.paceMs ?? 0);
    const work = this.handle(entry).finally(() => this.active.delete(work));
    this.active.add(work);
  }

  private async handle(entry: Entry): Promise<void> {
    const { signal } = this.options;
    try {
      // An incomplete step is done by the next attempt.
      if (!(await this.perform(entry))) return;
      if (this.end === null) this.outages = 0;
    } catch (err) {
      if (signal.aborted || this.end !== null) return;
      this.fail(err, entry.step.subject);
    }
    this.progress.examined += entry.step.examined ?? 1;
    entry.isDone = true;
    this.advance();
  }

  /** @returns false if the run ended before the action */
  private async perform(entry: Entry): Promise<boolean> {
    const { signal, isDryRun, allowed = Infinity } = this.options;
    const planned = (await entry.step.examine?.()) ?? null;
    if (planned === null) return true;
    const { changes = 1 } = planned;
    if (!isDryRun) {
      this.planned += changes;
      if (this.planned > allowed) this.end ??= 'exceeded';
      const at = (this.nextActionAt = Math.max(this.nextActionAt, performance.now()));
      this.nextActionAt += (changes * 1000) / this.actionsPerSecond;
      await pause(at, signal);
      if (this.end !== null || signal.aborted) return false;
    }
    const made = isDryRun ? changes : Number(await planned.perform());
    if (made > 0) {
      this.progress.changed += made;
      entry.action = recorded(planned);
    }
    return true;
  }

  private fail(err: unknown, subject?: object): void {
    const { cursor, examined, failed } = this.progress;
    this.logger.warn({ err, task: this.task.name, ...subject }, 'step of a task failed');
    this.progress.failed += 1;
    if (kindOf(err) !== 'unavailable') {
      this.outages = 0;
      return;
    }
    if (this.outages++ === 0) this.beforeOutages = { cursor, examined, failed };
    if (this.outages >= MAX_OUTAGES) this.end = 'unavailable';
  }

  /** Records the steps before which all steps are done. */
  private advance(): void {
    const { progress } = this;
    for (let first = this.entries[0]; first?.isDone; first = this.entries[0]) {
      this.entries.shift();
      progress.cursor = first.step.cursor ?? progress.cursor;
      if (first.action !== undefined && progress.actions.length < MAX_ACTIONS)
        progress.actions.push(first.action);
    }
  }
}

function recorded({ action, subject, detail }: TaskAction): RunAction {
  return {
    action: textOf(action),
    subject: textOf(subject),
    ...(detail !== undefined && { detail: textOf(detail) }),
  };
}

/** PostgreSQL stores neither NUL nor half of a surrogate pair in jsonb. */
const textOf = (text: string) => text.slice(0, MAX_TEXT).replaceAll('\0', '\uFFFD').toWellFormed();

async function* iterate(steps: ReturnType<Task>): AsyncGenerator<TaskStep, void> {
  yield* steps;
}

/** Waits until a time of `performance.now()`, or until the signal aborts. */
async function pause(until: number, signal: AbortSignal): Promise<void> {
  for (let ms; !signal.aborted && (ms = until - performance.now()) > 0;) {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    // A timer beyond 2^31 ms would fire at once.
    const timer = setTimeout(wake, Math.min(Math.ceil(ms), MAX_TIMER_MS));
    signal.addEventListener('abort', wake);
    await promise;
    clearTimeout(timer);
    signal.removeEventListener('abort', wake);
  }
}

/** Runs the steps of tasks, several at a time and at a limited rate, logs their errors and counts the outcomes of runs. */
@Injectable()
export class TaskRunner {
  private readonly runs: Counter<'task' | 'outcome'>;

  constructor(
    private readonly config: TasksConfig,
    private readonly logger: PinoLogger,
    registry: Registry,
  ) {
    logger.setContext(TaskRunner.name);
    this.runs = new Counter({
      name: 'stowage_task_runs_total',
      help: 'Number of runs of tasks, by task and outcome',
      labelNames: ['task', 'outcome'],
      registers: [registry],
    });
  }

  /**
   * Runs a task from the cursor of its progress. A step that fails does not end the run.
   * @returns the outcome; `error` is the error of the task itself
   */
  async run(
    task: Pick<DeclaredTask, 'name' | 'call' | 'concurrency'>,
    options: RunOptions,
    progress: TaskProgress = newProgress(),
  ): Promise<{ readonly outcome: TaskOutcome; readonly error?: unknown }> {
    const execution = new Execution(task, options, progress, this.config.actionsPerSecond, this.logger);
    try {
      const outcome = await execution.run();
      this.runs.inc({ task: task.name, outcome });
      return { outcome };
    } catch (error) {
      const outcome = outcomeOf(error, options.signal);
      if (outcome !== 'aborted') this.logger.warn({ err: error, task: task.name }, 'task failed');
      this.runs.inc({ task: task.name, outcome });
      return { outcome, error };
    }
  }

  /** Counts a run that ended because its workers crashed. */
  countCrashed(task: string): void {
    this.runs.inc({ task, outcome: 'crashed' });
  }

  /** Whether a task has something to do: its dry run has a first step. */
  async isDue({ call }: Pick<DeclaredTask, 'call'>, now: Date, signal: AbortSignal): Promise<boolean> {
    for await (const _ of call({ now, signal, isDryRun: true, cursor: null })) return true;
    return false;
  }
}

function outcomeOf(error: unknown, signal: AbortSignal): TaskOutcome {
  if (signal.aborted) return 'aborted';
  return kindOf(error) === 'unavailable' ? 'unavailable' : 'failed';
}
