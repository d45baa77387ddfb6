import type { protos } from '@google-cloud/pubsub';
import type { BacklogMessage, DeliveryRef } from '../store/backlog.js';
import { invalidArgument } from '../errors.js';
import type { NewMessage } from '../rpc/messages.js';
import type { Subscription } from '../store/subscriptions.js';
import { msToTimestamp } from '../rpc/wire.js';

type ReceivedMessage = protos.google.pubsub.v1.IReceivedMessage;

const ACK_ID = /^(\d{1,15})\.(\d{1,15})\.(\d{1,9})$/;

const ackId = (subscription: Subscription, { messageId, attempt }: DeliveryRef) =>
  Buffer.from(`${subscription.id}.${messageId}.${attempt}`).toString('base64url');

/**
 * Decodes ack ids to deliveries. An id of another subscription, or of a deleted one with this name, is ignored like any
 * expired id.
 * @throws {RpcError} INVALID_ARGUMENT when there are no ids, or one is not well-formed
 */
export function readAckIds(
  subscription: Subscription,
  ackIds: readonly string[] | null | undefined,
): DeliveryRef[] {
  if (!ackIds?.length) throw invalidArgument('You have not specified an ack ID in the request.');
  return ackIds.flatMap((id) => {
    const [, owner, messageId, attempt] = ACK_ID.exec(Buffer.from(id, 'base64url').toString()) ?? [];
    if (owner === undefined) {
      throw invalidArgument(`You have passed an invalid ack ID to the service (ack_id=${id.slice(0, 100)}).`);
    }
    return Number(owner) === subscription.id
      ? [{ messageId: Number(messageId), attempt: Number(attempt) }]
      : [];
  });
}

/** Encodes a message for the subscriber. `attempt` counts this delivery and is sent only under a dead-letter policy. */
export function receivedMessage(subscription: Subscription, message: BacklogMessage): ReceivedMessage {
  return {
    ackId: ackId(subscription, { messageId: message.id, attempt: message.attempt }),
    deliveryAttempt: subscription.settings.deadLetter ? message.attempt : 0,
    message: {
      messageId: String(message.id),
      publishTime: msToTimestamp(message.publishedAt),
      data: message.data,
      attributes: JSON.parse(message.attributes) as Record<string, string>,
      orderingKey: message.orderingKey,
    },
  };
}

/** The message that is sent to the dead-letter topic: https://cloud.google.com/pubsub/docs/handling-failures#track_dead-letter */
export function deadLettered(subscription: Subscription, message: BacklogMessage): NewMessage {
  const [, project = '', , id = ''] = subscription.name.split('/');
  const source = {
    CloudPubSubDeadLetterSourceDeliveryCount: String(message.attempt),
    CloudPubSubDeadLetterSourceSubscription: id,
    CloudPubSubDeadLetterSourceSubscriptionProject: project,
    CloudPubSubDeadLetterSourceTopicPublishTime: new Date(message.publishedAt)
      .toISOString()
      .replace('Z', '+00:00'),
  };
  const attributes = JSON.stringify({ ...(JSON.parse(message.attributes) as object), ...source });
  const added = Object.entries(source).reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  return { data: message.data, orderingKey: message.orderingKey, attributes, size: message.size + added };
}
