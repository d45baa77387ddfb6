import { AsyncLocalStorage } from 'node:async_hooks';
import { Readable } from 'node:stream';
import type { Database } from '#libs/database';
import { type ObjectRef, type ObjectVersion, unavailable } from '#libs/domain';
import type { QueueService } from '#libs/queue';
import {
  type CallOptions,
  type CopyRequest,
  type CopyResult,
  type ListRange,
  ObjectStore,
  type SessionRequest,
  UploadSessions,
  type WriteRequest,
  type WriteResult,
} from '#libs/storage';
import type { Inventory } from './inventory.js';

/**
 * `down`: the dependency fails once. `lost`: the effect happens and its answer is lost. `bug`: an unexpected error.
 * `crash-before`, `crash-after`: the process dies right before or after the effect. `pause`: the operation is suspended
 * before the effect, for any number of other steps.
 */
type FaultKind = 'down' | 'lost' | 'bug' | 'crash-before' | 'crash-after' | 'pause';

export interface Fault {
  readonly kind: FaultKind;
  /** Index of the effect that is hit, counted from 0 over storage, database and queue. */
  readonly at: number;
}

/** Thrown by every effect of a dead process, so that it does nothing more. */
export class Crash extends Error {}

const courses = new AsyncLocalStorage<Course>();

/**
 * One running operation, executed effect by effect. A statement, a transaction, and a call to storage or to the queue are
 * one effect each. Between effects a process can die and other operations can run.
 */
export class Course<T = unknown> {
  /** Never rejects. */
  readonly result: Promise<PromiseSettledResult<T>>;
  private effects = 0;
  private underWay = 0;
  private isDead = false;
  private isOver = false;
  private readonly waiting: (() => void)[] = [];
  private changed = () => {};

  /** @param isHeld suspends the operation before each effect until {@link letGo} is called */
  constructor(
    operation: () => Promise<T>,
    private fault: Fault | null = null,
    private readonly isHeld = false,
  ) {
    this.result = Promise.allSettled([courses.run(this, operation)]).then(([result]) => {
      this.isOver = true;
      this.changed();
      return result;
    });
  }

  get isWaiting(): boolean {
    return this.waiting.length > 0;
  }

  /** Waits until the operation is suspended or has ended. */
  async rest(): Promise<void> {
    while (!this.isOver) {
      if (this.isWaiting && this.underWay === 0) {
        // Concurrent parts of the operation may still be on their way to their next effect.
        const seen = [this.effects, this.waiting.length];
        await new Promise((resolve) => setImmediate(resolve));
        const isStill = this.isWaiting && this.underWay === 0;
        if (isStill && String(seen) === String([this.effects, this.waiting.length])) return;
      } else {
        await new Promise<void>((resolve) => {
          this.changed = resolve;
        });
      }
    }
  }

  /** Runs one effect, or crashes before or after it. An operation that is not held then continues. */
  letGo(end?: 'crash-before' | 'crash-after'): void {
    // A paused effect has been counted already, a held one has not.
    if (end !== undefined) this.fault = { kind: end, at: this.effects - (this.isHeld ? 0 : 1) };
    for (const resume of this.waiting.splice(0, this.isHeld ? 1 : Infinity)) resume();
  }

  async effect<R>(call: () => Promise<R>): Promise<R> {
    if (this.isDead) throw new Crash();
    // While the operation is suspended, all its concurrent parts are suspended.
    if (this.isHeld || this.isWaiting) await this.suspend();
    if (this.isDead) throw new Crash();
    const index = this.effects++;
    if (this.fault?.kind === 'pause' && this.fault.at === index) await this.suspend();
    const hit = this.fault?.at === index ? this.fault.kind : null;
    if (hit === 'down') throw unavailable('DOWN', 'The test injected this failure.');
    if (hit === 'bug') throw new Error('The test injected this failure.');
    if (hit === 'crash-before') this.die();
    this.underWay += 1;
    try {
      const answer = await call();
      if (hit === 'crash-after') this.die();
      if (hit === 'lost') throw unavailable('LOST', 'The test dropped the answer.');
      return answer;
    } finally {
      this.underWay -= 1;
      this.changed();
    }
  }

  private die(): never {
    this.isDead = true;
    throw new Crash();
  }

  private suspend(): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.changed();
    });
  }
}

/** Runs held operations in turns, one effect at a time, in the order that the bits give. */
export async function weave(held: readonly Course[], bits: number): Promise<void> {
  for (let turn = 0; ; turn++) {
    await Promise.all(held.map((course) => course.rest()));
    const waiting = held.filter(({ isWaiting }) => isWaiting);
    if (waiting.length === 0) return;
    waiting[((bits >> (turn % 16)) & 1) % waiting.length]!.letGo();
  }
}

const effect = <R>(call: () => Promise<R>): Promise<R> => courses.getStore()?.effect(call) ?? call();

/** The real store with each call as one effect. Copies and deletes are recorded in the inventory. */
export class EffectStore extends ObjectStore {
  constructor(
    private readonly real: ObjectStore,
    private readonly inventory: Inventory,
  ) {
    super();
  }

  override stat(object: ObjectRef | ObjectVersion, options?: CallOptions) {
    return effect(() => this.real.stat(object, options));
  }

  override read(object: ObjectVersion, options?: CallOptions): Readable {
    const open = () => effect(() => Promise.resolve(this.real.read(object, options)));
    return Readable.from(
      (async function* () {
        yield* (await open()) as AsyncIterable<Buffer>;
      })(),
    );
  }

  override copy(request: CopyRequest, options?: CallOptions): Promise<CopyResult> {
    return effect(async () => {
      const result = await this.real.copy(request, options);
      if (result.outcome === 'copied') this.inventory.copied(request.from, result.copy);
      return result;
    });
  }

  override write(request: WriteRequest, options?: CallOptions): Promise<WriteResult> {
    return effect(() => this.real.write(request, options));
  }

  override list(range: ListRange, limit: number, options?: CallOptions) {
    return effect(() => this.real.list(range, limit, options));
  }

  override delete(object: ObjectVersion, options?: CallOptions) {
    return effect(async () => {
      const wasDeleted = await this.real.delete(object, options);
      if (wasDeleted) this.inventory.deleted(object);
      return wasDeleted;
    });
  }
}

/** The real upload sessions with each call as one effect. */
export class EffectSessions extends UploadSessions {
  constructor(private readonly real: UploadSessions) {
    super();
  }

  override open(request: SessionRequest, options?: CallOptions) {
    return effect(() => this.real.open(request, options));
  }

  override stateOf(url: string, options?: CallOptions) {
    return effect(() => this.real.stateOf(url, options));
  }

  override end(url: string, options?: CallOptions) {
    return effect(() => this.real.end(url, options));
  }
}

/** Makes each statement, transaction and call to the queue one effect. The calls themselves stay real. */
export function makeEffects(database: Database, jobs: QueueService): void {
  const query = database.query.bind(database);
  const read = database.read.bind(database);
  const transaction = database.transaction.bind(database);
  // A statement of a transaction is a part of its effect.
  database.query = (statement, values, tx) =>
    tx === undefined ? effect(() => query(statement, values)) : query(statement, values, tx);
  database.read = (work) => effect(() => read(work));
  database.transaction = (work) => effect(() => transaction(work));
  const process = jobs.enqueue.bind(jobs);
  const has = jobs.has.bind(jobs);
  jobs.enqueue = (received, delayMs) => effect(() => process(received, delayMs));
  jobs.has = (received) => effect(() => has(received));
}
