import type { DatabaseSync } from 'node:sqlite';
import { prepared, transaction } from './database.js';

interface Work {
  /** Returns the callback that resolves the caller's promise after the commit. */
  readonly run: () => () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Commits the writes of concurrent callers in one transaction. A commit blocks the process until the disk is flushed,
 * so writes that arrive during one commit share the next.
 */
export class GroupCommit {
  private waiting: Work[] = [];

  constructor(private readonly db: DatabaseSync) {}

  /** Runs `work` (synchronous) and resolves once it is on disk. If it throws, only its own writes are undone. */
  run<T>(work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.waiting.length === 0) setImmediate(() => this.commit());
      const run = () => {
        const result = work();
        return () => resolve(result);
      };
      this.waiting.push({ run, reject });
    });
  }

  private commit(): void {
    const works = this.waiting;
    this.waiting = [];
    try {
      const callbacks = transaction(this.db, () => works.map((work) => this.attempt(work)));
      for (const callback of callbacks) callback();
    } catch (error) {
      for (const { reject } of works) reject(error);
    }
  }

  private attempt({ run, reject }: Work): () => void {
    prepared(this.db, 'SAVEPOINT work').run();
    try {
      return run();
    } catch (error) {
      // On a full disk SQLite has already rolled back the whole transaction.
      if (!this.db.isTransaction) throw error;
      prepared(this.db, 'ROLLBACK TO work').run();
      return () => reject(error);
    } finally {
      if (this.db.isTransaction) prepared(this.db, 'RELEASE work').run();
    }
  }
}
