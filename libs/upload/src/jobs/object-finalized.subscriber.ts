import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { ERROR_KINDS, type EventVerdict, kindOf } from '#libs/domain';
import {
  type MalformedEvent,
  type ObjectEventHandler,
  ObjectEvents,
  type ObjectFinalized,
} from '#libs/storage';
import { Arrivals } from '../arrivals.service.js';

const DRAIN_MS = 8_000;

/** Storage's events of the incoming bucket. */
@Injectable()
export class ObjectFinalizedSubscriber
  implements ObjectEventHandler, OnApplicationBootstrap, BeforeApplicationShutdown
{
  constructor(
    private readonly events: ObjectEvents,
    private readonly arrivals: Arrivals,
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

  async finalized({ key, version, messageId }: ObjectFinalized): Promise<EventVerdict> {
    try {
      const arrival = await this.arrivals.look(key);
      this.logger.debug({ messageId, key, generation: version, arrival }, 'object finalized');
      if (arrival === 'unknown-asset')
        this.logger.warn({ messageId, key }, 'event for an object that nobody asked for');
      // It comes again after the subscription's growing pause; no row of the database would remember it.
      return arrival === 'early' ? 'nack' : 'ack';
    } catch (err) {
      const verdict = ERROR_KINDS[kindOf(err)].event;
      this.logger[verdict === 'pause' ? 'warn' : 'error'](
        { err, messageId, key, verdict },
        'event not handled',
      );
      return verdict;
    }
  }

  malformed({ messageId, problem }: MalformedEvent): Promise<EventVerdict> {
    // Nacked until the subscription's dead-letter policy takes it out of the way.
    this.logger.error({ messageId, problem }, 'malformed event');
    return Promise.resolve('nack');
  }
}
