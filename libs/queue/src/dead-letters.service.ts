import { Injectable } from '@nestjs/common';
import { Database, type DeadLetter, type Tx } from '#libs/database';
import { StowageError } from '#libs/domain';

export type DeadLetterState = DeadLetter['state'];
export type { DeadLetter };

export interface NewDeadLetter {
  /** The queue or subscription that it came from. */
  readonly source: string;
  /** What the source calls it, where it can come twice; at most 255 characters. */
  readonly sourceId?: string;
  readonly assetId: string | null;
  readonly error: string;
  readonly attempts: number;
  /** What would be handed in again, as JSON. */
  readonly payload: string;
}

/**
 * Hands the work in once more, and closes the letter as RETRIED: where there is a transaction, in that one. A letter that it
 * leaves OPEN has nothing left to retry. May be called by several at once.
 */
export type Retry = (letter: DeadLetter) => Promise<unknown>;

const LONGEST_ERROR = 4_096;

/** Work that was given up, kept until an operator has decided about it. */
@Injectable()
export class DeadLettersService {
  private readonly retries = new Map<string, Retry>();

  constructor(private readonly database: Database) {}

  /** From then on it is `retry` that retries the letters of this source. Each source has one, from its module's start. */
  retryWith(source: string, retry: Retry): void {
    if (this.retries.has(source)) throw new Error(`Dead letters of ${source} are retried already`);
    this.retries.set(source, retry);
  }

  /**
   * As whoever is in charge of the letter's source does it.
   * @throws StowageError conflict DEAD_LETTER_NOT_RETRIABLE when nobody is; else what retrying throws
   */
  async retry(letter: DeadLetter): Promise<void> {
    const retry = this.retries.get(letter.source);
    if (retry === undefined) {
      const message = 'Nothing here knows how to retry a dead letter of this source.';
      throw new StowageError('conflict', 'DEAD_LETTER_NOT_RETRIABLE', message);
    }
    await retry(letter);
  }

  /** In the transaction that gives the work up. False when the source has given it up before. */
  async add(tx: Tx, letter: NewDeadLetter): Promise<boolean> {
    const data = { ...letter, error: letter.error.slice(0, LONGEST_ERROR) };
    const { count } = await tx.deadLetter.createMany({ data, skipDuplicates: true });
    return count === 1;
  }

  find(id: bigint): Promise<DeadLetter | null> {
    return this.database.read((prisma) => prisma.deadLetter.findUnique({ where: { id } }));
  }

  /** Newest first. */
  list(state: DeadLetterState | undefined, before: bigint | undefined, limit: number): Promise<DeadLetter[]> {
    const where = { state, id: before === undefined ? undefined : { lt: before } };
    return this.database.read((prisma) =>
      prisma.deadLetter.findMany({ where, orderBy: { id: 'desc' }, take: limit }),
    );
  }

  /** False when it was not OPEN any more. */
  async close(tx: Tx, id: bigint, state: 'RETRIED' | 'DISCARDED'): Promise<boolean> {
    const { count } = await tx.deadLetter.updateMany({ where: { id, state: 'OPEN' }, data: { state } });
    return count === 1;
  }
}
