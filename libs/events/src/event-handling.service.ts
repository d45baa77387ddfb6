import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { Database } from '#libs/database';
import { kindOf, StowageError, unavailable } from '#libs/domain';
import { DeadLettersService } from '#libs/queue';
import { CONSUMER_LETTERS, letterPayloadOf } from './consumer-letters.service.js';
import { type Delivery, EventDeliveriesRepository } from './event-deliveries.repository.js';
import type { DeliveryOutcome } from './event-metrics.js';
import type { EventConsumer } from './on-asset-event.js';

/** Below the limit of a transaction, so that the error names the consumer. */
const HANDLER_MS = 10_000;
const MAX_ATTEMPTS = 8;
const MIN_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 5 * 60_000;
/** Longest pause before a delivery whose handler found a dependency unavailable is tried again. */
const MAX_WAIT_MS = 60_000;
const RECORD_RETRY_MS = 1_000;

const CRASHED = `All ${MAX_ATTEMPTS} attempts ended without an outcome: the worker crashed, or the handler hid an error of the database.`;

const jittered = (ms: number) => ms * (0.75 + Math.random() / 2);

/** Runs one attempt of a delivery and records its outcome. */
@Injectable()
export class EventHandlingService {
  constructor(
    private readonly database: Database,
    private readonly deliveries: EventDeliveriesRepository,
    private readonly deadLetters: DeadLettersService,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(EventHandlingService.name);
  }

  /**
   * Calls the handler, and removes the delivery, postpones it, or replaces it by a dead letter. Never rejects.
   * @param signal ends the attempt, which does not count then
   */
  async handle(consumer: EventConsumer, delivery: Delivery, signal: AbortSignal): Promise<DeliveryOutcome> {
    try {
      if (delivery.attempts > MAX_ATTEMPTS) throw new Error(CRASHED);
      const isHandled = await this.attempt(consumer, delivery, signal);
      if (isHandled) await this.releaseNext(delivery);
      return isHandled ? 'delivered' : 'lost';
    } catch (error) {
      return this.fail(delivery, error, signal);
    }
  }

  private attempt({ call }: EventConsumer, delivery: Delivery, signal: AbortSignal): Promise<boolean> {
    const { id, type, assetId, ownerId } = delivery;
    return this.database.transaction(async (tx) => {
      if (!(await this.deliveries.remove(tx, delivery))) return false;
      await limited(() => call({ id, type, assetId, ownerId }, tx), signal);
      // PostgreSQL would roll back silently if the handler has hidden an error of the database.
      await tx.$queryRaw`select 1`;
      return true;
    });
  }

  private async fail(delivery: Delivery, err: unknown, signal: AbortSignal): Promise<DeliveryOutcome> {
    const { consumer, id, attempts } = delivery;
    const context = { err, consumer, eventId: String(id), attempts };
    if (kindOf(err) === 'unavailable' && attempts <= MAX_ATTEMPTS) {
      this.logger.warn(context, 'event waits for a dependency of its consumer');
      const delayMs = waitMs(delivery, err);
      await this.record(context, signal, () => this.deliveries.postpone(delivery, attempts - 1, delayMs));
      return 'unavailable';
    }
    if (attempts < MAX_ATTEMPTS) {
      this.logger.warn(context, 'event not handled');
      const delayMs = jittered(Math.min(MIN_BACKOFF_MS * 2 ** (attempts - 1), MAX_BACKOFF_MS));
      await this.record(context, signal, () => this.deliveries.postpone(delivery, attempts, delayMs));
      return 'failed';
    }
    this.logger.error(context, 'event became a dead letter');
    await this.record(context, signal, () => this.replaceByLetter(delivery, err));
    await this.releaseNext(delivery);
    return 'dead-letter';
  }

  private replaceByLetter(delivery: Delivery, error: unknown): Promise<void> {
    const { consumer, assetId, attempts } = delivery;
    return this.database.transaction(async (tx) => {
      if (!(await this.deliveries.remove(tx, delivery))) return;
      await this.deadLetters.add(tx, {
        source: `${CONSUMER_LETTERS}${consumer}`,
        assetId,
        error: error instanceof Error ? error.message : String(error),
        attempts: Math.min(attempts, MAX_ATTEMPTS),
        payload: letterPayloadOf(delivery),
      });
    });
  }

  /** Repeats while the database is unavailable: an outcome that is not recorded would use up an attempt. */
  private async record(context: object, signal: AbortSignal, write: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await write();
      } catch (err) {
        if (signal.aborted || kindOf(err) !== 'unavailable')
          return this.logger.error({ ...context, err }, 'outcome of an event not recorded');
        await delay(jittered(RECORD_RETRY_MS), undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** After the commit, so that events that were written meanwhile are found too. */
  private async releaseNext(delivery: Delivery): Promise<void> {
    // Without the release, the next delivery is due within a minute.
    await this.deliveries.releaseNext(delivery).catch(() => undefined);
  }
}

/** Grows with the age of the delivery, as the number of waits is not stored. */
function waitMs({ ageMs }: Delivery, error: unknown): number {
  const least = error instanceof StowageError ? (error.retryAfterSeconds ?? 0) * 1000 : 0;
  return jittered(Math.max(least, Math.min(Math.max(ageMs / 2, MIN_BACKOFF_MS), MAX_WAIT_MS)));
}

/** Rejects when the handler takes too long or the signal aborts. The rollback ends the handler's transaction. */
async function limited(handler: () => Promise<unknown>, signal: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let stop: (() => void) | undefined;
  const limit = new Promise<never>((_, reject) => {
    const seconds = HANDLER_MS / 1000;
    timer = setTimeout(() => reject(new Error(`The handler took longer than ${seconds} s.`)), HANDLER_MS);
    stop = () => reject(unavailable('SHUTTING_DOWN', 'This worker is stopping.'));
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
  });
  try {
    await Promise.race([handler(), limit]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop!);
  }
}
