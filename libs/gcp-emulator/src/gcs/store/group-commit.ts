import type { DatabaseSync } from 'node:sqlite';
import { prepared, transaction } from './database.js';

interface Work {
  /** Answers with how its caller is told, once all is on disk. */
  readonly run: () => () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Commits what several callers have to write in one transaction. A commit waits for the disk and nothing else can be done meanwhile,
 * so those who come during one are served together by the next.
 */
export class GroupCommit {
  private waiting: Work[] = [];

  constructor(private readonly db: DatabaseSync) {}

  /** Runs `work`, which is synchronous, and answers when it is on disk. When it throws, its own writes alone are undone. */
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
      const tellAll = transaction(this.db, () => works.map((work) => this.attempt(work)));
      for (const tell of tellAll) tell();
    } catch (error) {
      for (const { reject } of works) reject(error);
    }
  }

  private attempt({ run, reject }: Work): () => void {
    prepared(this.db, 'SAVEPOINT work').run();
    try {
      return run();
    } catch (error) {
      // A full disk has rolled everything back by itself.
      if (!this.db.isTransaction) throw error;
      prepared(this.db, 'ROLLBACK TO work').run();
      return () => reject(error);
    } finally {
      if (this.db.isTransaction) prepared(this.db, 'RELEASE work').run();
    }
  }
}
