import { Injectable } from '@nestjs/common';
import type { Tx } from '#libs/database';
import type { DomainEvent } from '#libs/domain';

/** The log of domain events. */
@Injectable()
export class DomainEvents {
  /** Writes an event in the transaction that makes it true. */
  async append(tx: Tx, event: DomainEvent): Promise<void> {
    await tx.domainEvent.create({ data: event, select: { id: true } });
  }
}
