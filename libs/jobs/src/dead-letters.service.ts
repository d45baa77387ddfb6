import { Injectable } from '@nestjs/common';
import { Database, type DeadLetter, type Prisma, type Tx } from '#libs/database';

export type DeadLetterState = DeadLetter['state'];
export type { DeadLetter };

export interface NewDeadLetter {
  /** The queue or subscription that it came from. */
  readonly source: string;
  readonly assetId: string | null;
  readonly error: string;
  readonly attempts: number;
  /** What would be handed in again, as JSON. */
  readonly payload: string;
}

const LONGEST_ERROR = 4_096;

/** Work that was given up, kept until an operator has decided about it. */
@Injectable()
export class DeadLetters {
  constructor(private readonly database: Database) {}

  /** In the transaction that gives the work up. */
  async add(tx: Tx, letter: NewDeadLetter): Promise<void> {
    const data: Prisma.DeadLetterCreateInput = { ...letter, error: letter.error.slice(0, LONGEST_ERROR) };
    await tx.deadLetter.create({ data, select: { id: true } });
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
