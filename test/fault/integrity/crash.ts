import { Readable } from 'node:stream';
import { unavailable } from '#libs/domain';
import type { Database } from '#libs/database';
import type { ObjectStore } from '#libs/storage';

/** Whether the worker dies before a call leaves it, or after the call was executed and before its answer arrives. */
export type Side = 'before' | 'after';

const dead = () => unavailable('CRASHED', 'The worker of the test is dead.');

/**
 * Kills a worker at one of its calls to the database or to storage: the call fails, and so do all later ones, so that no error handler
 * has an effect.
 */
export class CrashPoint {
  private left = Infinity;
  private side: Side = 'before';
  private isDead = false;

  /** Runs `work`, which dies at its call number `at`, from 0. @returns whether it died; otherwise it has fewer calls */
  async run(at: number, side: Side, work: () => Promise<unknown>): Promise<boolean> {
    Object.assign(this, { left: at, side, isDead: false });
    try {
      await work();
      return this.isDead;
    } catch (error) {
      if (!this.isDead) throw error;
      return true;
    } finally {
      Object.assign(this, { left: Infinity, isDead: false });
    }
  }

  /** Counts the calls of a store. */
  store(store: ObjectStore): ObjectStore {
    for (const name of ['stat', 'copy', 'write', 'list', 'delete'] as const) this.wrap(store, name);
    const read = store.read.bind(store);
    store.read = (object, options) => {
      const isLost = this.isDead || this.left === 0;
      this.isDead ||= this.left-- === 0;
      if (!isLost) return read(object, options);
      return new Readable({ read: (): void => undefined, construct: (done) => done(dead()) });
    };
    return store;
  }

  /** Counts the statements outside of transactions, and the transactions. */
  database(database: Database): void {
    for (const name of ['query', 'read', 'transaction'] as const) this.wrap(database, name);
  }

  private wrap<Name extends string>(
    target: Record<Name, (...values: never[]) => Promise<unknown>>,
    name: Name,
  ): void {
    const call = target[name].bind(target) as (...values: unknown[]) => Promise<unknown>;
    const counted = async (...values: unknown[]) => {
      if (this.isDead) throw dead();
      const isLast = this.left-- === 0;
      if (isLast && this.side === 'before') {
        this.isDead = true;
        throw dead();
      }
      const answer = await call(...values);
      if (isLast) {
        this.isDead = true;
        throw dead();
      }
      return answer;
    };
    Object.assign(target, { [name]: counted });
  }
}
