import { Injectable, type OnModuleInit } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Database } from '#libs/database';
import { StowageError } from '#libs/domain';
import { type DeadLetter, DeadLettersService } from '#libs/queue';
import { ObjectEventReader } from '#libs/storage';
import { UploadCompletion } from './upload-completion.js';

/** Source of the dead letters that storage's events become when nothing can come of them. */
export const OBJECT_EVENTS = 'object-events';

/** Hands an event in again that had been given up, at an operator's word. */
@Injectable()
export class EventRetriesService implements OnModuleInit {
  constructor(
    private readonly reader: ObjectEventReader,
    private readonly completion: UploadCompletion,
    private readonly deadLetters: DeadLettersService,
    private readonly database: Database,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(EventRetriesService.name);
  }

  onModuleInit(): void {
    this.deadLetters.retryWith(OBJECT_EVENTS, (letter) => this.retry(letter));
  }

  /** @throws StowageError conflict EVENT_MALFORMED, EVENT_EARLY, unavailable; the letter stays OPEN then */
  private async retry(letter: DeadLetter): Promise<void> {
    const event = this.reader.read(letter.payload);
    if ('problem' in event) {
      const message = `The event is malformed as before: ${event.problem}.`;
      throw new StowageError('conflict', 'EVENT_MALFORMED', message);
    }
    const arrival = await this.completion.checkObject(event.key);
    if (arrival === 'early') {
      throw new StowageError(
        'conflict',
        'EVENT_EARLY',
        'There is no such asset yet. Try again in ten minutes.',
      );
    }
    await this.database.transaction((tx) => this.deadLetters.close(tx, letter.id, 'RETRIED'));
    this.logger.info({ deadLetterId: String(letter.id), arrival }, 'event handed in again');
  }
}
