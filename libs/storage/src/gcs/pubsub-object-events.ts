import type { Message, PubSub } from '@google-cloud/pubsub';
import type { EventVerdict } from '#libs/domain';
import { ObjectEvents } from '../object-events.js';
import type { ObjectEventHandler } from '../object-events.js';
import { textOfMessage } from './kept-event.js';
import { decodeObjectEvent } from './object-event.js';
import { pubSubClient } from './pubsub-client.js';
import type { PubSubOptions } from './pubsub-client.js';
import { PubSubPull } from './pubsub-pull.js';
import type { PullOptions } from './pubsub-pull.js';

export interface PubSubObjectEventsOptions extends PubSubOptions, PullOptions {
  /** Whose events are meant; an event of another bucket is undeliverable. */
  readonly incomingBucket: string;
  /** The subscription to what Pub/Sub has given up on; default: nobody asks for that. */
  readonly deadLetterSubscription?: string;
}

const CHECK_TIMEOUT_MS = 5_000;
/** What Pub/Sub adds to a message that it gives up on. https://docs.cloud.google.com/pubsub/docs/handling-failures */
const SOURCE = 'CloudPubSubDeadLetterSource';
const SUBSCRIPTION_NAME = /^[\w.~+%-]{1,255}$/;

/**
 * Notifications of Cloud Storage that come over Pub/Sub, and those that Pub/Sub has given up on: these are undeliverable,
 * whatever they say.
 */
export class PubSubObjectEvents extends ObjectEvents {
  private readonly pubsub: PubSub;
  private pulls?: readonly PubSubPull[];

  constructor(private readonly options: PubSubObjectEventsOptions) {
    super();
    this.pubsub = pubSubClient(options);
  }

  override async start(handler: ObjectEventHandler): Promise<void> {
    if (this.pulls !== undefined) throw new Error('These events are already being handled');
    const { deadLetterSubscription: subscription } = this.options;
    this.pulls = [
      new PubSubPull(this.pubsub, this.options, (message) => this.handle(message, handler)),
      ...(subscription === undefined
        ? []
        : [
            new PubSubPull(this.pubsub, { ...this.options, subscription }, (message) =>
              this.handleGivenUp(message, handler),
            ),
          ]),
    ];
    for (const pull of this.pulls) pull.start();
    return Promise.resolve();
  }

  override async stop(timeoutMs: number): Promise<void> {
    await Promise.all((this.pulls ?? []).map((pull) => pull.stop(timeoutMs)));
    await this.pubsub.close();
  }

  override async check(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const subscription = this.pubsub.subscription(this.options.subscription);
    await subscription.getMetadata({ timeout: CHECK_TIMEOUT_MS, retry: null });
  }

  private async handle(message: Message, handler: ObjectEventHandler): Promise<EventVerdict> {
    const decoded = decodeObjectEvent(message, this.options.incomingBucket);
    switch (decoded.kind) {
      case 'finalized':
        return handler.finalized(decoded.event);
      case 'malformed':
        return handler.undeliverable({
          messageId: message.id,
          problem: `malformed: ${decoded.problem}`,
          // 0 where the subscription has no dead-letter policy.
          attempts: Math.max(1, message.deliveryAttempt),
          key: null,
          payload: textOfMessage(message),
        });
      case 'other':
        return 'ack';
    }
  }

  private async handleGivenUp(message: Message, handler: ObjectEventHandler): Promise<EventVerdict> {
    const decoded = decodeObjectEvent(message, this.options.incomingBucket);
    if (decoded.kind === 'other') return 'ack';
    const { [`${SOURCE}DeliveryCount`]: count = '', [`${SOURCE}Subscription`]: subscription = '' } =
      message.attributes;
    const attempts = /^[1-9]\d{0,5}$/.test(count) ? Number(count) : 1;
    // What the attributes say may have been made up.
    const from = SUBSCRIPTION_NAME.test(subscription) ? subscription : 'a subscription without a name';
    const problem = `given up after ${attempts} deliveries to ${from}`;
    return handler.undeliverable({
      // It is a new message of another topic, whose ids may be those of the first one's.
      messageId: `dead-letter/${message.id}`,
      problem: decoded.kind === 'malformed' ? `${problem}; malformed: ${decoded.problem}` : problem,
      attempts,
      key: decoded.kind === 'finalized' ? decoded.event.key : null,
      payload: textOfMessage(message),
    });
  }
}
