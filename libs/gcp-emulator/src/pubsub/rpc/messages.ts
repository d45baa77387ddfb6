import type { protos } from '@google-cloud/pubsub';
import { checkRange, invalidArgument } from '../errors.js';

type WireMessage = protos.google.pubsub.v1.IPubsubMessage;

/** A message as stored: `attributes` as JSON, `size` in bytes of all that the publisher sent. */
export interface NewMessage {
  readonly data: Uint8Array;
  readonly attributes: string;
  readonly orderingKey: string;
  readonly size: number;
}

/** https://cloud.google.com/pubsub/quotas#resource_limits */
const LIMITS = {
  messages: 1000,
  requestBytes: 10_000_000,
  attributes: 100,
  attributeKeyBytes: 256,
  attributeValueBytes: 1024,
  orderingKeyBytes: 1024,
} as const;

/**
 * Validates and converts the messages of a publish request.
 * @throws {RpcError} INVALID_ARGUMENT when the request exceeds one of the service's limits
 */
export function readMessages(wire: readonly WireMessage[]): NewMessage[] {
  if (wire.length === 0)
    throw invalidArgument('The value for message_count is too small. You passed 0 in the request.');
  checkRange('message_count', wire.length, 1, LIMITS.messages);
  const messages = wire.map(readMessage);
  checkRange(
    'request_size',
    messages.reduce((sum, { size }) => sum + size, 0),
    0,
    LIMITS.requestBytes,
  );
  if (new Set(messages.map(({ orderingKey }) => orderingKey)).size > 1) {
    throw invalidArgument(
      'In a single publish request, all messages must have no ordering key or they must all have the same ordering key.',
    );
  }
  return messages;
}

function readMessage(wire: WireMessage): NewMessage {
  const data = (wire.data ?? new Uint8Array()) as Uint8Array;
  const attributes = Object.entries(wire.attributes ?? {});
  const orderingKey = wire.orderingKey ?? '';
  if (data.length === 0 && attributes.length === 0) {
    throw invalidArgument(
      'One or more messages in the publish request is empty. Each message must contain either non-empty data, or at least one attribute.',
    );
  }
  checkRange('attribute_count', attributes.length, 0, LIMITS.attributes);
  let size = data.length + Buffer.byteLength(orderingKey);
  checkRange('ordering_key size', Buffer.byteLength(orderingKey), 0, LIMITS.orderingKeyBytes);
  for (const [key, value] of attributes) {
    if (key === '') throw invalidArgument('One or more messages has an attribute with an empty key.');
    checkRange('attribute key size', Buffer.byteLength(key), 1, LIMITS.attributeKeyBytes);
    checkRange('attribute value size', Buffer.byteLength(value), 0, LIMITS.attributeValueBytes);
    size += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  return { data, attributes: JSON.stringify(wire.attributes ?? {}), orderingKey, size };
}
