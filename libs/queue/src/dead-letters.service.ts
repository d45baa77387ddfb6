import { Injectable } from '@nestjs/common';
import { Database, type DeadLetter, type Tx } from '#libs/database';
import { StowageError } from '#libs/domain';

export type DeadLetterState = DeadLetter['state'];
export type { DeadLetter };

/** A dead letter to add. */
export interface NewDeadLetter {
  /** The queue or subscription of the work. */
  readonly source: string;
  /** Identifier that the source gives to the work and that dedupes its letters; at most 255 characters. */
  readonly sourceId?: string;
  readonly assetId: string | null;
  readonly error: string;
  readonly attempts: number;
  /** The work to retry, as JSON. */
  readonly payload: string;
}

/**
 * Retries the work of a letter and closes the letter as RETRIED, within one transaction where possible. If the letter
 * stays OPEN, there is no work left to retry. Several callers may retry a letter at once.
 */
export type Retry = (letter: DeadLetter) => Promise<unknown>;

const LONGEST_ERROR = 4_096;

/** Dead letters: failed work that is kept until an operator retries or discards it. */
@Injectable()
export class DeadLettersService {
  private readonly retries = new Map<string, Retry>();

  constructor(private readonly database: Database) {}

  /**
   * Registers the retry function of a source. Each source registers one when its module starts.
   * @throws Error if the source already has a retry function
   * @example
   * onModuleInit() {
   *   this.deadLetters.retryWith(PROCESS_QUEUE, (letter) => this.retry(letter));
   * }
   */
  retryWith(source: string, retry: Retry): void {
    if (this.retries.has(source)) throw new Error(`Dead letters of ${source} already have a retry function`);
    this.retries.set(source, retry);
  }

  /** Adds a letter in the transaction that gives up the work. False if the source already added a letter for it. */
  async add(tx: Tx, letter: NewDeadLetter): Promise<boolean> {
    const data = { ...letter, error: letter.error.slice(0, LONGEST_ERROR) };
    const { count } = await tx.deadLetter.createMany({ data, skipDuplicates: true });
    return count === 1;
  }

  /** @throws StowageError not-found DEAD_LETTER_NOT_FOUND */
  async get(id: bigint): Promise<DeadLetter> {
    const letter = await this.database.read((prisma) => prisma.deadLetter.findUnique({ where: { id } }));
    if (letter === null) throw deadLetterNotFound();
    return letter;
  }

  /**
   * Retries an OPEN letter with the function that its source registered. A repeat returns the RETRIED letter.
   * @throws StowageError not-found DEAD_LETTER_NOT_FOUND; conflict DEAD_LETTER_CLOSED, DEAD_LETTER_NOT_RETRIABLE if the source registered
   * none; errors of the retry function
   */
  async retry(id: bigint): Promise<DeadLetter> {
    const letter = await this.get(id);
    if (letter.state === 'OPEN') {
      const retry = this.retries.get(letter.source);
      if (retry === undefined) {
        const message = 'Dead letters of this source cannot be retried.';
        throw new StowageError('conflict', 'DEAD_LETTER_NOT_RETRIABLE', message);
      }
      await retry(letter);
    }
    return this.getClosed(id, 'RETRIED');
  }

  /**
   * Discards an OPEN letter. A repeat returns the DISCARDED letter.
   * @throws StowageError not-found DEAD_LETTER_NOT_FOUND; conflict DEAD_LETTER_CLOSED
   */
  async discard(id: bigint): Promise<DeadLetter> {
    await this.get(id);
    await this.database.transaction((tx) => this.close(tx, id, 'DISCARDED'));
    return this.getClosed(id, 'DISCARDED');
  }

  /** Lists letters, newest first. */
  list(state: DeadLetterState | undefined, before: bigint | undefined, limit: number): Promise<DeadLetter[]> {
    const where = { state, id: before === undefined ? undefined : { lt: before } };
    return this.database.read((prisma) =>
      prisma.deadLetter.findMany({ where, orderBy: { id: 'desc' }, take: limit }),
    );
  }

  /** Closes an OPEN letter. False if the letter was not OPEN. */
  async close(tx: Tx, id: bigint, state: 'RETRIED' | 'DISCARDED'): Promise<boolean> {
    const { count } = await tx.deadLetter.updateMany({ where: { id, state: 'OPEN' }, data: { state } });
    return count === 1;
  }

  private async getClosed(id: bigint, state: DeadLetterState): Promise<DeadLetter> {
    const letter = await this.get(id);
    if (letter.state !== state) {
      throw new StowageError(
        'conflict',
        'DEAD_LETTER_CLOSED',
        'This dead letter is closed already, or its asset is not FAILED any more.',
      );
    }
    return letter;
  }
}

export const deadLetterNotFound = () =>
  new StowageError('not-found', 'DEAD_LETTER_NOT_FOUND', 'No dead letter has this id.');
