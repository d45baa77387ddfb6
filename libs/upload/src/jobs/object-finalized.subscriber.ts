import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Batcher, Database } from '#libs/database';
import { assetIdOfIncomingKey, ERROR_KINDS, type EventVerdict, kindOf } from '#libs/domain';
import { DeadLettersService } from '#libs/queue';
import {
  type ObjectEventHandler,
  ObjectEvents,
  type ObjectFinalized,
  type UndeliverableEvent,
} from '#libs/storage';
import { type CheckOutcome, UploadCompletion } from '../upload-completion.js';
import { OBJECT_EVENTS } from '../event-retries.service.js';

/** Part of the nine seconds that a worker has for its shutdown. Events that are not handled by then are delivered again. */
const DRAIN_MS = 5_000;

/** Events that are handled concurrently. Limited, so that a backlog of events leaves most of the process to the jobs. */
const MAX_CONCURRENT = 16;

/** Handles storage events of the incoming bucket. Events that arrive while others are handled share the next batch. */
@Injectable()
export class ObjectFinalizedSubscriber
  implements ObjectEventHandler, OnApplicationBootstrap, BeforeApplicationShutdown
{
  private readonly batcher = new Batcher<string, PromiseSettledResult<CheckOutcome>>(
    (keys) => this.completion.checkObjects(keys),
    { atOnce: 2, most: MAX_CONCURRENT / 2 },
  );

  constructor(
    private readonly events: ObjectEvents,
    private readonly completion: UploadCompletion,
    private readonly deadLetters: DeadLettersService,
    private readonly database: Database,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(ObjectFinalizedSubscriber.name);
  }

  onApplicationBootstrap(): Promise<void> {
    return this.events.start(this);
  }

  beforeApplicationShutdown(): Promise<void> {
    return this.events.stop(DRAIN_MS);
  }

  finalized({ key, version, messageId }: ObjectFinalized): Promise<EventVerdict> {
    return this.verdictOn({ messageId, key }, async () => {
      const result = await this.batcher.run(key);
      if (result.status === 'rejected') throw result.reason;
      const outcome = result.value;
      this.logger.debug({ messageId, key, generation: version, arrival: outcome }, 'object finalized');
      if (outcome === 'unknown-asset')
        this.logger.warn({ messageId, key }, 'event for an object without an upload');
      // No row records an early event, so the subscription must redeliver it, with its backoff.
      return outcome === 'early' ? 'nack' : 'ack';
    });
  }

  /** Records a dead letter, once per message however often it is delivered. */
  undeliverable({ messageId, problem, ...event }: UndeliverableEvent): Promise<EventVerdict> {
    return this.verdictOn({ messageId }, async () => {
      const letter = {
        source: OBJECT_EVENTS,
        sourceId: messageId,
        assetId: event.key === null ? null : assetIdOfIncomingKey(event.key),
        error: problem,
        attempts: event.attempts,
        payload: event.payload,
      };
      const isNew = await this.database.transaction((tx) => this.deadLetters.add(tx, letter));
      if (isNew) this.logger.error({ messageId, problem }, 'event became a dead letter');
      else this.logger.debug({ messageId }, 'event is a dead letter already');
      return 'ack';
    });
  }

  /** Maps an error to a verdict by the table of error kinds. */
  private async verdictOn(event: object, handle: () => Promise<EventVerdict>): Promise<EventVerdict> {
    try {
      return await handle();
    } catch (err) {
      const verdict = ERROR_KINDS[kindOf(err)].event;
      this.logger[verdict === 'pause' ? 'warn' : 'error']({ err, ...event, verdict }, 'event not handled');
      return verdict;
    }
  }
}
