import { Injectable } from '@nestjs/common';
import type { Tx } from '#libs/database';
import type { DomainEvent } from '#libs/domain';

/** Log of domain events. */
@Injectable()
export class DomainEvents {
  /**
   * Writes an event in the transaction of the change that it describes. Call {@link EventRelay.wake} after the commit.
   * @example
   * await events.append(tx, { type: 'asset.purged', assetId, ownerId });
   */
  async append(tx: Tx, event: DomainEvent): Promise<void> {
    await tx.domainEvent.create({ data: event, select: { id: true } });
  }
}
