import { Duration } from '@google-cloud/pubsub';
import type { DebugMessage, Message, PubSub, Subscription, SubscriptionOptions } from '@google-cloud/pubsub';
import type { EventVerdict } from '#libs/domain';

/** Subscription, concurrency and backoff of a {@link PubSubPull}. */
export interface PullOptions {
  /** Name of the subscription, short or fully qualified. */
  readonly subscription: string;
  readonly logger: { warn(details: object, message: string): void };
  /** Maximum number of messages handled concurrently; default 100. */
  readonly maxMessages?: number;
  /** Backoff between pulls in milliseconds, doubled from the first to the longest; default 1 s and 30 s. */
  readonly pauseMs?: { readonly first: number; readonly longest: number };
}

/** Time for running handlers to finish when pulling pauses; after it the client nacks their messages. */
const PAUSE_CLOSE_MS = 30_000;
/** The client reserves this part of the close timeout for sending nacks. */
const LAST_NACKS_MS = 1000;

/**
 * Pulls one subscription over a StreamingPull and extends the leases of messages in progress. The verdict `pause` nacks
 * the message and closes the stream for a backoff that doubles with each consecutive pause; an `ack` resets the
 * backoff. A stream that ends, even because the subscription does not exist yet, is reopened with the same backoff
 * without limit. A handler's error is logged and its message nacked. A lost `ack` is logged; Pub/Sub delivers the
 * message again.
 */
export class PubSubPull {
  private open?: { readonly subscription: Subscription; readonly closed: Promise<void> };
  private reopenTimer?: NodeJS.Timeout;
  private pauses = 0;
  private stopped = false;

  constructor(
    private readonly pubsub: PubSub,
    private readonly options: PullOptions,
    private readonly handle: (message: Message) => Promise<EventVerdict>,
  ) {}

  start(): void {
    const { logger, subscription: name } = this.options;
    const subscription = this.pubsub.subscription(name, this.subscriptionOptions(PAUSE_CLOSE_MS));
    const closed = new Promise<void>((resolve) => {
      subscription.once('close', () => {
        this.open = undefined;
        if (!this.stopped) this.reopenTimer = setTimeout(() => this.start(), this.nextPause());
        resolve();
      });
    });
    this.open = { subscription, closed };
    subscription
      .on('error', (error: Error) => logger.warn({ err: error }, 'pulling object events failed'))
      .on('debug', ({ message }: DebugMessage) =>
        logger.warn({ problem: message }, 'object event stream error'),
      )
      // Added last, because adding the message listener opens the stream.
      .on('message', (message: Message) => void this.process(message, subscription));
  }

  /** Stops pulling, waits up to `timeoutMs` milliseconds for running handlers, then nacks the remaining messages. */
  async stop(timeoutMs: number): Promise<void> {
    this.stopped = true;
    clearTimeout(this.reopenTimer);
    if (this.open === undefined) return;
    const { subscription, closed } = this.open;
    subscription.setOptions(this.subscriptionOptions(timeoutMs));
    await Promise.all([subscription.close(), closed]);
  }

  private subscriptionOptions(closeMs: number): SubscriptionOptions {
    return {
      flowControl: { maxMessages: this.options.maxMessages ?? 100, allowExcessMessages: false },
      // Each additional stream would lease as many messages again, which would only wait here.
      streamingOptions: { maxStreams: 1, timeout: 30_000, retryMaxBackoff: Duration.from({ seconds: 10 }) },
      closeOptions: { behavior: 'WAIT', timeout: Duration.from({ milliseconds: closeMs + LAST_NACKS_MS }) },
    };
  }

  private nextPause(): number {
    const { first, longest } = this.options.pauseMs ?? { first: 1000, longest: 30_000 };
    return Math.min(first * 2 ** this.pauses++, longest) * (0.5 + Math.random() / 2);
  }

  private async process(message: Message, subscription: Subscription): Promise<void> {
    // The stream is closing: messages that still arrive are nacked unhandled.
    if (!subscription.isOpen) return message.nack();
    const verdict = await this.verdictOn(message);
    if (verdict === 'ack') {
      this.pauses = 0;
      return message.ack();
    }
    message.nack();
    // Closing emits 'close', which schedules the next opening. The call has no effect on a stream that is already
    // closing.
    if (verdict === 'pause') await subscription.close();
  }

  private async verdictOn(message: Message): Promise<EventVerdict> {
    try {
      return await this.handle(message);
    } catch (error) {
      this.options.logger.warn({ err: error, messageId: message.id }, 'handling an object event failed');
      return 'nack';
    }
  }
}
