import { Injectable, type OnModuleInit } from '@nestjs/common';
import { Database, type DeadLetter, type Tx } from '#libs/database';
import { StowageError } from '#libs/domain';
import { type ContributedMethod, Contributions, methodContribution } from '#libs/runtime';

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
export type DeadLetterRetry = (letter: DeadLetter) => Promise<unknown>;

/**
 * Marks the method that retries the dead letters of a source when an operator asks for it. The provider has to be in a module of the
 * API. A source that ends in a colon stands for all sources that begin with it. Two methods for one source fail the start.
 * @example
 * @OnDeadLetterRetry('albums.exports')
 * async retry(letter: DeadLetter): Promise<void> {
 *   await this.database.transaction(async (tx) => {
 *     if (await this.deadLetters.close(tx, letter.id, 'RETRIED')) await this.exports.add(tx, letter.payload);
 *   });
 * }
 */
export const OnDeadLetterRetry = methodContribution<string, DeadLetterRetry>('OnDeadLetterRetry');

const LONGEST_ERROR = 4_096;

/** Dead letters: failed work that is kept until an operator retries or discards it. */
@Injectable()
export class DeadLettersService implements OnModuleInit {
  private retries: ReadonlyMap<string, ContributedMethod<string, DeadLetterRetry>> | undefined;

  constructor(
    private readonly database: Database,
    private readonly contributions: Contributions,
  ) {}

  /** @throws Error if two methods retry the letters of one source */
  onModuleInit(): void {
    this.retries = this.findRetries();
  }

  /** Adds a letter in the transaction that gives up the work. False if the source already added a letter for it. */
  async add(tx: Tx, letter: NewDeadLetter): Promise<boolean> {
    // PostgreSQL has no NUL character in texts.
    const data = { ...letter, error: letter.error.replaceAll('\0', '').slice(0, LONGEST_ERROR) };
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
   * Retries an OPEN letter with the {@link OnDeadLetterRetry} method of its source. A repeat returns the RETRIED letter.
   * @throws StowageError not-found DEAD_LETTER_NOT_FOUND; conflict DEAD_LETTER_CLOSED, DEAD_LETTER_NOT_RETRIABLE if the source has no
   * method; errors of the method
   */
  async retry(id: bigint): Promise<DeadLetter> {
    const letter = await this.get(id);
    if (letter.state === 'OPEN') {
      const retries = (this.retries ??= this.findRetries());
      const retry = retries.get(letter.source) ?? retries.get(letter.source.replace(/:.*/, ':'));
      if (retry === undefined) {
        const message = 'Dead letters of this source cannot be retried.';
        throw new StowageError('conflict', 'DEAD_LETTER_NOT_RETRIABLE', message);
      }
      await retry.call(letter);
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

  private findRetries() {
    const found = new Map<string, ContributedMethod<string, DeadLetterRetry>>();
    for (const each of this.contributions.methods(OnDeadLetterRetry)) {
      const other = found.get(each.options);
      if (other !== undefined)
        throw new Error(
          `Dead letters of ${each.options} are retried by ${other.source} and by ${each.source}.`,
        );
      found.set(each.options, each);
    }
    return found;
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
