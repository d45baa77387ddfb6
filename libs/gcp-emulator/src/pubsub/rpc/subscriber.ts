import type { protos } from '@google-cloud/pubsub';
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { receivedMessage } from '../delivery/deliveries.js';
import { checkRange } from '../errors.js';
import { checkProject, pageOf } from '../names.js';
import type { ServiceParts } from './publisher.js';
import { PullStream } from '../delivery/pull-stream.js';
import type { StreamingPullCall } from '../delivery/pull-stream.js';
import { pull } from '../delivery/pull.js';
import { subscriptionToWire } from '../store/subscriptions.js';
import { toRpcError, unary } from './unary.js';

type StreamingPullRequest = protos.google.pubsub.v1.IStreamingPullRequest;

/** How long a pull waits for a first message. The official clients wait a minute for the response. */
const PULL_WAIT_MS = 20_000;
const MAX_PULL_MESSAGES = 1000;

/** The Subscriber service. Calls of its other methods fail with UNIMPLEMENTED. */
export function subscriberService(parts: ServiceParts): UntypedServiceImplementation {
  const { subscriptions, dispatcher, onError } = parts;
  const feedOf = (name: string | null | undefined) => dispatcher.feed(subscriptions.get(name));
  return {
    createSubscription: unary(onError, (wire: protos.google.pubsub.v1.ISubscription) =>
      subscriptionToWire(subscriptions.create(wire)),
    ),

    getSubscription: unary(onError, (request: protos.google.pubsub.v1.IGetSubscriptionRequest) =>
      subscriptionToWire(subscriptions.get(request.subscription)),
    ),

    updateSubscription: unary(onError, (request: protos.google.pubsub.v1.IUpdateSubscriptionRequest) =>
      subscriptionToWire(subscriptions.update(request)),
    ),

    listSubscriptions: unary(onError, (request: protos.google.pubsub.v1.IListSubscriptionsRequest) => {
      const all = subscriptions.ofProject(checkProject(request.project));
      const { items, nextPageToken } = pageOf(all, request);
      return { subscriptions: items.map(subscriptionToWire), nextPageToken };
    }),

    deleteSubscription: unary(onError, (request: protos.google.pubsub.v1.IDeleteSubscriptionRequest) => {
      dispatcher.deleteSubscription(subscriptions.get(request.subscription));
      return {};
    }),

    acknowledge: unary(onError, async (request: protos.google.pubsub.v1.IAcknowledgeRequest) => {
      await feedOf(request.subscription).acknowledge(request.ackIds);
      return {};
    }),

    modifyAckDeadline: unary(onError, async (request: protos.google.pubsub.v1.IModifyAckDeadlineRequest) => {
      const seconds = request.ackDeadlineSeconds ?? 0;
      checkRange('ack_deadline_seconds', seconds, 0, 600);
      await feedOf(request.subscription).modifyDeadline(request.ackIds, seconds);
      return {};
    }),

    pull: unary(onError, async (request: protos.google.pubsub.v1.IPullRequest, call) => {
      const subscription = subscriptions.get(request.subscription);
      checkRange('max_messages', request.maxMessages ?? 0, 1, Number.MAX_SAFE_INTEGER);
      const cancelled = new AbortController();
      call.once('cancelled', () => cancelled.abort());
      const messages = await pull(dispatcher.feed(subscription), subscription, {
        maxMessages: Math.min(request.maxMessages ?? 0, MAX_PULL_MESSAGES),
        waitMs: request.returnImmediately ? 0 : PULL_WAIT_MS,
        signal: cancelled.signal,
      });
      return { receivedMessages: messages.map((message) => receivedMessage(subscription, message)) };
    }),

    streamingPull: (call: StreamingPullCall) => {
      let stream: PullStream | undefined;
      const receive = (frame: StreamingPullRequest) => {
        if (stream) return stream.receive(frame);
        const subscription = subscriptions.get(frame.subscription);
        stream = new PullStream(call, subscription, dispatcher.feed(subscription), frame);
      };
      call.on('data', (frame: StreamingPullRequest) => {
        try {
          receive(frame);
        } catch (error) {
          const refusal = toRpcError(error, onError);
          if (stream) stream.end(refusal);
          else call.emit('error', refusal);
        }
      });
      call.once('cancelled', () => stream?.close());
      call.once('end', () => {
        stream?.close();
        call.end();
      });
    },
  };
}
