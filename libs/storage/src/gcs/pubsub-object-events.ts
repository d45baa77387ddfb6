import type { Message, PubSub } from '@google-cloud/pubsub';
import type { EventVerdict } from '#libs/domain';
import { ObjectEvents } from '../object-events.js';
import type { ObjectEventHandler } from '../object-events.js';
import { encodeMessage } from './stored-notification-reader.js';
import { decodeObjectEvent } from './object-event.js';
import { pubSubClient } from './pubsub-client.js';
import type { PubSubOptions } from './pubsub-client.js';
import { PubSubPull } from './pubsub-pull.js';
import type { PullOptions } from './pubsub-pull.js';

export interface PubSubObjectEventsOptions extends PubSubOptions, PullOptions {
  /** Bucket of the expected events; an event of another bucket is undeliverable. */
  readonly incomingBucket: string;
  /** Subscription to the dead-letter topic; default: dead letters are not pulled. */
  readonly deadLetterSubscription?: string;
}

const CHECK_TIMEOUT_MS = 5_000;
/** Prefix of the attributes of a dead letter. https://docs.cloud.google.com/pubsub/docs/handling-failures */
const DEAD_LETTER_PREFIX = 'CloudPubSubDeadLetterSource';
const SUBSCRIPTION_NAME = /^[\w.~+%-]{1,255}$/;

/**
 * Cloud Storage notifications over Pub/Sub, and dead letters of Pub/Sub. A dead letter is always reported as
 * undeliverable, even if it is well-formed.
 */
export class PubSubObjectEvents extends ObjectEvents {
  private readonly pubsub: PubSub;
  private readonly pulls: PubSubPull[] = [];

  constructor(private readonly options: PubSubObjectEventsOptions) {
    super();
    this.pubsub = pubSubClient(options);
  }

  override async start(handler: ObjectEventHandler): Promise<void> {
    if (this.pulls.length > 0) throw new Error('These events are already being handled');
    const { deadLetterSubscription: subscription } = this.options;
    this.pulls.push(new PubSubPull(this.pubsub, this.options, (message) => this.handle(message, handler)));
    if (subscription !== undefined) {
      const options = { ...this.options, subscription };
      this.pulls.push(
        new PubSubPull(this.pubsub, options, (message) => this.handleDeadLetter(message, handler)),
      );
    }
    for (const pull of this.pulls) pull.start();
    return Promise.resolve();
  }

  override async stop(timeoutMs: number): Promise<void> {
    await Promise.all(this.pulls.map((pull) => pull.stop(timeoutMs)));
    await this.pubsub.close();
  }

  override async check(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const subscription = this.pubsub.subscription(this.options.subscription);
    await subscription.getMetadata({ timeout: CHECK_TIMEOUT_MS, retry: null });
  }

  private async handle(message: Message, handler: ObjectEventHandler): Promise<EventVerdict> {
    const decoded = decodeObjectEvent(message, this.options.incomingBucket);
    if (decoded.kind === 'other') return 'ack';
    if (decoded.kind === 'finalized') return handler.finalized(decoded.event);
    return handler.undeliverable({
      messageId: message.id,
      problem: `malformed: ${decoded.problem}`,
      // deliveryAttempt is 0 if the subscription has no dead-letter policy.
      attempts: Math.max(1, message.deliveryAttempt),
      key: null,
      payload: encodeMessage(message),
    });
  }

  private async handleDeadLetter(message: Message, handler: ObjectEventHandler): Promise<EventVerdict> {
    const decoded = decodeObjectEvent(message, this.options.incomingBucket);
    if (decoded.kind === 'other') return 'ack';
    const {
      [`${DEAD_LETTER_PREFIX}DeliveryCount`]: count = '',
      [`${DEAD_LETTER_PREFIX}Subscription`]: subscription = '',
    } = message.attributes;
    const attempts = /^[1-9]\d{0,5}$/.test(count) ? Number(count) : 1;
    // The attributes are untrusted: any publisher can set them.
    const from = SUBSCRIPTION_NAME.test(subscription) ? subscription : 'a subscription without a name';
    const problem = `given up after ${attempts} deliveries to ${from}`;
    return handler.undeliverable({
      // A dead letter is a new message of another topic; its id may equal the original message's id.
      messageId: `dead-letter/${message.id}`,
      problem: decoded.kind === 'malformed' ? `${problem}; malformed: ${decoded.problem}` : problem,
      attempts,
      key: decoded.kind === 'finalized' ? decoded.event.key : null,
      payload: encodeMessage(message),
    });
  }
}
