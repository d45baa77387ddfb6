import { Duration, PubSub } from '@google-cloud/pubsub';
import type {
  ClientConfig,
  DebugMessage,
  Message,
  Subscription,
  SubscriptionOptions,
} from '@google-cloud/pubsub';
import type { EventVerdict } from '#libs/domain';
import { ObjectEvents } from '../object-events.js';
import type { ObjectEventHandler } from '../object-events.js';
import { decodeObjectEvent } from './object-event.js';

export interface PubSubOptions {
  readonly projectId?: string;
  /** `host:port` of an emulator; without it the real service and the application default credentials. */
  readonly emulator?: string;
}

export interface PubSubObjectEventsOptions extends PubSubOptions {
  /** Name of the subscription, short or whole. */
  readonly subscription: string;
  /** Whose events are meant; an event of another bucket is malformed. */
  readonly incomingBucket: string;
  readonly logger: { warn(details: object, message: string): void };
  /** How many events are handled at once; default 100. */
  readonly maxMessages?: number;
  /** The first and the longest pause of pulling; default 1 s and 30 s. */
  readonly pauseMs?: { readonly first: number; readonly longest: number };
}

/** For handlers that still run when pulling pauses, before their events are given back. */
const PAUSE_CLOSE_MS = 30_000;
const CHECK_TIMEOUT_MS = 5_000;
/** The client keeps this much of a close for sending what it gives back. */
const LAST_NACKS_MS = 1000;

/** The official client, whose channel tries a server that is gone at least every 10 s. */
export function pubSubClient({ projectId, emulator }: PubSubOptions): PubSub {
  const config: ClientConfig & { 'grpc.max_reconnect_backoff_ms': number } = {
    projectId,
    'grpc.max_reconnect_backoff_ms': 10_000,
    ...(emulator !== undefined && {
      apiEndpoint: emulator,
      emulatorMode: true,
      // Known, so that the client does not go looking for a metadata server.
      clientOptions: { universeDomain: 'googleapis.com' },
    }),
  };
  return new PubSub(config);
}

/**
 * Notifications of Cloud Storage over a Pub/Sub StreamingPull. Leases of running handlers are extended. `pause` gives the
 * event back and closes the stream for a pause that grows with every one that follows; the first `ack` starts over.
 * A stream that ends, even for a subscription that does not exist (yet), is opened again in the same manner, for ever.
 * A handler that throws is logged and its event given back. An `ack` that gets lost is logged; the event comes again.
 */
export class PubSubObjectEvents extends ObjectEvents {
  private readonly pubsub: PubSub;
  private readonly pauseMs: { readonly first: number; readonly longest: number };
  private handler?: ObjectEventHandler;
  private open?: { readonly subscription: Subscription; readonly closed: Promise<void> };
  private reopening?: NodeJS.Timeout;
  private pauses = 0;
  private stopped = false;

  constructor(private readonly options: PubSubObjectEventsOptions) {
    super();
    this.pubsub = pubSubClient(options);
    this.pauseMs = options.pauseMs ?? { first: 1000, longest: 30_000 };
  }

  override async start(handler: ObjectEventHandler): Promise<void> {
    if (this.handler !== undefined) throw new Error('These events are already being handled');
    this.handler = handler;
    this.pull(handler);
    return Promise.resolve();
  }

  override async stop(timeoutMs: number): Promise<void> {
    this.stopped = true;
    clearTimeout(this.reopening);
    if (this.open !== undefined) {
      const { subscription, closed } = this.open;
      subscription.setOptions(this.subscriptionOptions(timeoutMs));
      await Promise.all([subscription.close(), closed]);
    }
    await this.pubsub.close();
  }

  override async check(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const subscription = this.pubsub.subscription(this.options.subscription);
    await subscription.getMetadata({ timeout: CHECK_TIMEOUT_MS, retry: null });
  }

  private subscriptionOptions(closeMs: number): SubscriptionOptions {
    return {
      flowControl: { maxMessages: this.options.maxMessages ?? 100, allowExcessMessages: false },
      // Each further stream would bring as many messages again, to lie here leased and waiting.
      streamingOptions: { maxStreams: 1, timeout: 30_000, retryMaxBackoff: Duration.from({ seconds: 10 }) },
      closeOptions: { behavior: 'WAIT', timeout: Duration.from({ milliseconds: closeMs + LAST_NACKS_MS }) },
    };
  }

  private pull(handler: ObjectEventHandler): void {
    const { logger } = this.options;
    const subscription = this.pubsub.subscription(
      this.options.subscription,
      this.subscriptionOptions(PAUSE_CLOSE_MS),
    );
    const closed = new Promise<void>((resolve) => {
      subscription.once('close', () => {
        this.open = undefined;
        if (!this.stopped) this.reopening = setTimeout(() => this.pull(handler), this.nextPause());
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
      .on('message', (message: Message) => void this.take(message, subscription, handler));
  }

  private nextPause(): number {
    const { first, longest } = this.pauseMs;
    return Math.min(first * 2 ** this.pauses++, longest) * (0.5 + Math.random() / 2);
  }

  private async take(
    message: Message,
    subscription: Subscription,
    handler: ObjectEventHandler,
  ): Promise<void> {
    // The stream is closing: what still arrives was not begun.
    if (!subscription.isOpen) return message.nack();
    const verdict = await this.verdictOn(message, handler);
    if (verdict === 'ack') {
      this.pauses = 0;
      return message.ack();
    }
    message.nack();
    // Ends in the 'close' event. A stream that is closing already is left to it.
    if (verdict === 'pause') await subscription.close();
  }

  private async verdictOn(message: Message, handler: ObjectEventHandler): Promise<EventVerdict> {
    try {
      const decoded = decodeObjectEvent(message, this.options.incomingBucket);
      switch (decoded.kind) {
        case 'finalized':
          return await handler.finalized(decoded.event);
        case 'malformed':
          return await handler.malformed(decoded.event);
        case 'other':
          return 'ack';
      }
    } catch (error) {
      this.options.logger.warn({ err: error, messageId: message.id }, 'handling an object event failed');
      return 'nack';
    }
  }
}
