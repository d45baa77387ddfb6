import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Database } from '#libs/database';
import { StowageError } from '#libs/domain';
import { type DeadLetter, DeadLettersService, OnDeadLetterRetry } from '#libs/queue';
import { ObjectEventReader } from '#libs/storage';
import { UploadCompletion } from './upload-completion.js';

/** `source` of dead letters for storage events that cannot be handled. */
export const OBJECT_EVENTS = 'object-events';

/** Retries storage events that became dead letters, when an operator asks for it. */
@Injectable()
export class EventRetriesService {
  constructor(
    private readonly reader: ObjectEventReader,
    private readonly completion: UploadCompletion,
    private readonly deadLetters: DeadLettersService,
    private readonly database: Database,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(EventRetriesService.name);
  }

  /** @throws StowageError conflict EVENT_MALFORMED, EVENT_EARLY; unavailable. The dead letter stays OPEN in each case. */
  @OnDeadLetterRetry(OBJECT_EVENTS)
  async retry(letter: DeadLetter): Promise<void> {
    const event = this.reader.read(letter.payload);
    if ('problem' in event) {
      const message = `The event is still malformed: ${event.problem}.`;
      throw new StowageError('conflict', 'EVENT_MALFORMED', message);
    }
    const outcome = await this.completion.checkObject(event.key);
    if (outcome === 'early') {
      throw new StowageError(
        'conflict',
        'EVENT_EARLY',
        'The asset of this event does not exist yet. Try again in ten minutes.',
      );
    }
    await this.database.transaction((tx) => this.deadLetters.close(tx, letter.id, 'RETRIED'));
    this.logger.info({ deadLetterId: String(letter.id), arrival: outcome }, 'event retried');
  }
}
