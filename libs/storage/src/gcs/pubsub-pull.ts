import { Duration } from '@google-cloud/pubsub';
import type { DebugMessage, Message, PubSub, Subscription, SubscriptionOptions } from '@google-cloud/pubsub';
import type { EventVerdict } from '#libs/domain';

export interface PullOptions {
  /** Name of the subscription, short or whole. */
  readonly subscription: string;
  readonly logger: { warn(details: object, message: string): void };
  /** How many messages are handled at once; default 100. */
  readonly maxMessages?: number;
  /** The first and the longest pause of pulling; default 1 s and 30 s. */
  readonly pauseMs?: { readonly first: number; readonly longest: number };
}

/** For handlers that still run when pulling pauses, before their messages are given back. */
const PAUSE_CLOSE_MS = 30_000;
/** The client keeps this much of a close for sending what it gives back. */
const LAST_NACKS_MS = 1000;

/**
 * One subscription, over a StreamingPull. Leases of running handlers are extended. `pause` gives the message back and closes
 * the stream for a pause that grows with every one that follows; the first `ack` starts over. A stream that ends, even for
 * a subscription that does not exist (yet), is opened again in the same manner, for ever. A handler that throws is logged
 * and its message given back. An `ack` that gets lost is logged; the message comes again.
 */
export class PubSubPull {
  private readonly pauseMs: { readonly first: number; readonly longest: number };
  private open?: { readonly subscription: Subscription; readonly closed: Promise<void> };
  private reopening?: NodeJS.Timeout;
  private pauses = 0;
  private stopped = false;

  constructor(
    private readonly pubsub: PubSub,
    private readonly options: PullOptions,
    private readonly handle: (message: Message) => Promise<EventVerdict>,
  ) {
    this.pauseMs = options.pauseMs ?? { first: 1000, longest: 30_000 };
  }

  start(): void {
    const { logger, subscription: name } = this.options;
    const subscription = this.pubsub.subscription(name, this.subscriptionOptions(PAUSE_CLOSE_MS));
    const closed = new Promise<void>((resolve) => {
      subscription.once('close', () => {
        this.open = undefined;
        if (!this.stopped) this.reopening = setTimeout(() => this.start(), this.nextPause());
        resolve();
      });
    });
    this.open = { subscription, closed };
    subscription
      .on('error', (error: Error) => logger.warn({ err: error }, 'pulling object events failed'))
      .on('debug', ({ message }: DebugMessage) =>
        logger.warn({ problem: message }, 'object events: trouble on the way'),
      )
      // The last one, since it is this listener that opens the stream.
      .on('message', (message: Message) => void this.take(message, subscription));
  }

  /** Takes no more messages, waits for the handlers that run (up to `timeoutMs`), gives back the rest. */
  async stop(timeoutMs: number): Promise<void> {
    this.stopped = true;
    clearTimeout(this.reopening);
    if (this.open === undefined) return;
    const { subscription, closed } = this.open;
    subscription.setOptions(this.subscriptionOptions(timeoutMs));
    await Promise.all([subscription.close(), closed]);
  }

  private subscriptionOptions(closeMs: number): SubscriptionOptions {
    return {
      flowControl: { maxMessages: this.options.maxMessages ?? 100, allowExcessMessages: false },
      // Each further stream would bring as many messages again, to lie here leased and waiting.
      streamingOptions: { maxStreams: 1, timeout: 30_000, retryMaxBackoff: Duration.from({ seconds: 10 }) },
      closeOptions: { behavior: 'WAIT', timeout: Duration.from({ milliseconds: closeMs + LAST_NACKS_MS }) },
    };
  }

  private nextPause(): number {
    const { first, longest } = this.pauseMs;
    return Math.min(first * 2 ** this.pauses++, longest) * (0.5 + Math.random() / 2);
  }

  private async take(message: Message, subscription: Subscription): Promise<void> {
    // The stream is closing: what still arrives was not begun.
    if (!subscription.isOpen) return message.nack();
    const verdict = await this.verdictOn(message);
    if (verdict === 'ack') {
      this.pauses = 0;
      return message.ack();
    }
    message.nack();
    // Ends in the 'close' event. A stream that is closing already is left to it.
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
