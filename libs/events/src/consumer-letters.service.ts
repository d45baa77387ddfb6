import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Database } from '#libs/database';
import { StowageError } from '#libs/domain';
import { type DeadLetter, DeadLettersService, OnDeadLetterRetry } from '#libs/queue';
import { EventDeliveriesRepository } from './event-deliveries.repository.js';
import type { AssetEvent } from './on-asset-event.js';

/** Beginning of the source of dead letters of event consumers; the consumer's name follows. */
export const CONSUMER_LETTERS = 'events:';

/** The event, as JSON. */
export const letterPayloadOf = ({ id, type, assetId, ownerId }: AssetEvent): string =>
  JSON.stringify({ id: String(id), type, assetId, ownerId: String(ownerId) });

const eventOf = (payload: string): AssetEvent => {
  const { id, ownerId, ...rest } = JSON.parse(payload) as Pick<AssetEvent, 'type' | 'assetId'> & {
    id: string;
    ownerId: string;
  };
  return { id: BigInt(id), ownerId: BigInt(ownerId), ...rest };
};

/** Delivers events that became dead letters again, when an operator asks for it. The consumer's worker handles them. */
@Injectable()
export class ConsumerLettersService {
  constructor(
    private readonly database: Database,
    private readonly deliveries: EventDeliveriesRepository,
    private readonly deadLetters: DeadLettersService,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(ConsumerLettersService.name);
  }

  /** @throws StowageError conflict EVENT_CONSUMER_REMOVED; the dead letter stays OPEN then */
  @OnDeadLetterRetry(CONSUMER_LETTERS)
  async retry({ id, source, payload }: DeadLetter): Promise<void> {
    const consumer = source.slice(CONSUMER_LETTERS.length);
    const event = eventOf(payload);
    await this.database.transaction(async (tx) => {
      if (!(await this.deadLetters.close(tx, id, 'RETRIED'))) return;
      if (await this.deliveries.add(tx, consumer, event)) return;
      throw new StowageError(
        'conflict',
        'EVENT_CONSUMER_REMOVED',
        'The consumer of this event is not registered any more. Discard the dead letter.',
      );
    });
    this.logger.info({ consumer, eventId: String(event.id) }, 'event delivered again');
  }
}
